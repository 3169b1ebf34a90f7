//! The machines of the cluster: which there are, whether they are given work.

use dvp_model::NodeName;
use dvp_model::error::Reason;
use dvp_model::node::Member;

use super::{Store, StoreError};

impl Store {
    /// Every machine, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn nodes(&self) -> Result<Vec<Member>, StoreError> {
        let rows = self.db.rows("SELECT body FROM nodes ORDER BY name", &[]).await?;
        rows.iter().map(|row| Ok(serde_json::from_str(row.text(0)?)?)).collect()
    }

    /// Adds a machine, or replaces what was known of it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn node_put(&self, member: &Member) -> Result<(), StoreError> {
        let mut tx = self.db.write().await?;
        put(&mut tx, member).await?;
        self.commit(tx).await
    }

    /// Changes a machine.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn node_change(
        &self,
        name: &NodeName,
        edit: impl FnOnce(&mut Member) + Send,
    ) -> Result<Member, StoreError> {
        let mut tx = self.db.write().await?;
        let rows = tx.rows("SELECT body FROM nodes WHERE name = $1", &[(&*name.0).into()]).await?;
        let row = rows.first().ok_or_else(|| unknown(name))?;
        let mut member: Member = serde_json::from_str(row.text(0)?)?;
        edit(&mut member);
        put(&mut tx, &member).await?;
        self.commit(tx).await?;
        Ok(member)
    }

    /// Forgets a machine.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn node_remove(&self, name: &NodeName) -> Result<Member, StoreError> {
        let mut tx = self.db.write().await?;
        let rows = tx.rows("SELECT body FROM nodes WHERE name = $1", &[(&*name.0).into()]).await?;
        let row = rows.first().ok_or_else(|| unknown(name))?;
        let member = serde_json::from_str(row.text(0)?)?;
        tx.run("DELETE FROM nodes WHERE name = $1", &[(&*name.0).into()]).await?;
        self.commit(tx).await?;
        Ok(member)
    }
}

async fn put(tx: &mut super::Tx, member: &Member) -> Result<(), StoreError> {
    let body = serde_json::to_string(member)?;
    tx.run("DELETE FROM nodes WHERE name = $1", &[(&*member.name.0).into()]).await?;
    let values = [(&*member.name.0).into(), body.into()];
    tx.run("INSERT INTO nodes (name, body) VALUES ($1, $2)", &values).await.map(drop)
}

fn unknown(name: &NodeName) -> StoreError {
    StoreError::Refused(Reason::new(
        dvp_model::error::Kind::NotFound,
        format!("there is no node '{name}': 'nodes' lists them"),
    ))
}
