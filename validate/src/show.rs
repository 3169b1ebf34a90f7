//! How checks are shown: as the original's script shows them, or as one JSON object.

use dvp_model::validate::{Check, Found};
use serde_json::json;

const THICK: &str = "==========================================";
const THIN: &str = "------------------------------------------";

/// Everything that was checked, shown as it comes or at the end.
pub struct Report {
    json: bool,
    checks: Vec<Check>,
    warnings: Vec<String>,
}

impl Report {
    /// Nothing yet.
    pub fn new(json: bool) -> Self {
        Self { json, checks: Vec::new(), warnings: Vec::new() }
    }

    fn say(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }

    /// The head.
    pub fn begin(&self) {
        self.say(&format!("{THICK}\nDVP System Validation Script\n{THICK}\n"));
    }

    /// One step.
    pub fn step(&mut self, step: u32, title: &str, checks: &[Check]) {
        self.say(&format!("Step {step}: {title}\n{THIN}"));
        for check in checks {
            lines(check).iter().for_each(|line| self.say(line));
        }
        self.say("");
        self.checks.extend_from_slice(checks);
    }

    /// What is short.
    pub fn warn(&mut self, warnings: Vec<String>) {
        self.warnings.extend(warnings);
    }

    /// The sums. How many failed.
    pub fn end(self) -> usize {
        let count = |is: fn(&Found) -> bool| self.checks.iter().filter(|it| is(&it.found)).count();
        let passed = count(|found| matches!(found, Found::Passed { .. }));
        let failed = count(|found| matches!(found, Found::Failed { .. }));
        let skipped = count(|found| matches!(found, Found::Skipped { .. }));
        if self.json {
            let all = json!({
                "passed": passed, "failed": failed, "skipped": skipped,
                "checks": self.checks, "warnings": self.warnings
            });
            println!("{all}");
            return failed;
        }
        println!("{THICK}\nValidation Summary\n{THICK}\nPassed: {passed}\nFailed: {failed}");
        if skipped > 0 {
            println!("Skipped: {skipped}");
        }
        println!();
        for warning in &self.warnings {
            println!("⚠ {warning}");
        }
        match failed {
            0 => println!("✓ All checks passed! System is ready."),
            1 => println!("✗ 1 check failed: see above for what mends it."),
            failed => println!("✗ {failed} checks failed: see above for what mends each."),
        }
        failed
    }
}

/// A check in a line; of one that failed what was expected, what was seen, what mends it.
fn lines(check: &Check) -> Vec<String> {
    let name = &check.name;
    match &check.found {
        Found::Passed { word, more } => {
            let more = more.as_ref().map_or(String::new(), |more| format!(" ({more})"));
            vec![format!("{name}... ✓ {word}{more}")]
        }
        Found::Failed { word, expected, seen, mend } => vec![
            format!("{name}... ✗ {word}"),
            format!("    expected {expected}; saw: {seen}"),
            format!("    mend: {mend}"),
        ],
        Found::Skipped { why } => vec![format!("{name}... - SKIPPED: {why}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_originals() {
        let mut check = Check::passed(5, "Testing MPI hostname command");
        if let Found::Passed { more, .. } = &mut check.found {
            *more = Some("6 processes".into());
        }
        assert_eq!(lines(&check), ["Testing MPI hostname command... ✓ PASSED (6 processes)"]);
        let check = Check::failed(
            1,
            "Checking API Server",
            "running",
            "exited",
            "docker-compose up -d api",
        );
        assert_eq!(
            lines(&check),
            [
                "Checking API Server... ✗ NOT RUNNING",
                "    expected running; saw: exited",
                "    mend: docker-compose up -d api"
            ]
        );
    }
}
