//! Cursors of the feed's readers that must miss nothing: kept in the database, each read by one engine at
//! a time. A write nudges nobody: moving on is no news.

use super::{Store, StoreError, feed};

impl Store {
    /// How far the reader `name` has come, if `owner` may read for it now and for `hold_ms` from now; none
    /// while another owner does. A new reader begins at the feed's end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn cursor_take(
        &self,
        name: &str,
        owner: &str,
        hold_ms: i64,
    ) -> Result<Option<u64>, StoreError> {
        let mut tx = self.db.write().await?;
        let now = self.tx_now(&mut tx).await?;
        let until = now.plus(hold_ms).0;
        let sql = "SELECT seq, owner, expires_at FROM cursors WHERE name = $1";
        let rows = tx.rows(sql, &[name.into()]).await?;
        let Some(row) = rows.first() else {
            let last = feed::last(&tx.rows(feed::LAST, &[]).await?)?;
            let sql = "INSERT INTO cursors (name, seq, owner, expires_at) VALUES ($1, $2, $3, $4)";
            let values = [name.into(), (last as i64).into(), owner.into(), until.into()];
            tx.run(sql, &values).await?;
            tx.commit().await?;
            return Ok(Some(last));
        };
        let (seq, ours, expires_at) = (row.int(0)?, row.text(1)? == owner, row.int(2)?);
        if !ours && expires_at > now.0 {
            return Ok(None);
        }
        if !ours || expires_at < now.plus(hold_ms / 2).0 {
            let sql = "UPDATE cursors SET owner = $2, expires_at = $3 WHERE name = $1";
            tx.run(sql, &[name.into(), owner.into(), until.into()]).await?;
            tx.commit().await?;
        }
        Ok(Some(seq as u64))
    }

    /// Moves the reader `name` on to `seq`; false when another owner took over meanwhile.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn cursor_move(&self, name: &str, owner: &str, seq: u64) -> Result<bool, StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "UPDATE cursors SET seq = $3 WHERE name = $1 AND owner = $2";
        let moved = tx.run(sql, &[name.into(), owner.into(), (seq as i64).into()]).await?;
        tx.commit().await?;
        Ok(moved == 1)
    }

    /// Lets another engine read for `name` at once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn cursor_leave(&self, name: &str, owner: &str) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        let sql = "UPDATE cursors SET expires_at = 0 WHERE name = $1 AND owner = $2";
        tx.run(sql, &[name.into(), owner.into()]).await?;
        tx.commit().await
    }
}
