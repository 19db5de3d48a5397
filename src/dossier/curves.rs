//! Losses and residuals over epochs.

use super::model::Curve;
use super::records::Records;
use crate::diag::{StageError, StageResult};

/// The histories of all tasks of a kind.
pub(super) fn histories(records: &Records<'_>, kind: &str) -> Vec<Curve> {
    let one = |index: usize| {
        let (epochs, columns) = records.read(index, "history", |path| {
            let text = std::fs::read_to_string(path).map_err(StageError::from)?;
            table(&text)
        })?;
        let task = &records.plan.tasks[index];
        Some(Curve { task: task.id.to_string(), point: task.point.to_map(), epochs, columns })
    };
    records.of_kind(kind).filter_map(one).collect()
}

type Columns = Vec<(String, Vec<Option<f64>>)>;

/// A table of numbers whose first column counts epochs. What is no finite number is left out.
fn table(text: &str) -> StageResult<(Vec<f64>, Columns)> {
    let mut lines = text.lines();
    let mut names = lines.next().unwrap_or_default().split(',');
    if names.next() != Some("epoch") {
        return Err(StageError::input("expected a table whose first column is `epoch`"));
    }
    let mut columns: Columns = names.map(|name| (name.to_owned(), Vec::new())).collect();
    let mut epochs = Vec::new();
    for (line, cells) in lines.enumerate() {
        let mut cells = cells.split(',').map(|cell| cell.parse::<f64>().ok().filter(|v| v.is_finite()));
        let Some(Some(epoch)) = cells.next() else {
            return Err(StageError::input(format!("line {}: expected the number of an epoch", line + 2)));
        };
        epochs.push(epoch);
        columns.iter_mut().for_each(|(_, column)| column.push(cells.next().flatten()));
    }
    Ok((epochs, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_holes_stay_holes() {
        let (epochs, columns) = table("epoch,loss,rate\n1,0.5,1e-3\n2,nan,\n").unwrap();
        assert_eq!(epochs, [1.0, 2.0]);
        assert_eq!(columns[0], ("loss".to_owned(), vec![Some(0.5), None]));
        assert_eq!(columns[1].1, [Some(1e-3), None]);
        assert!(table("time,loss\n").is_err());
        assert!(table("epoch,loss\nx,1\n").unwrap_err().message.contains("line 2"));
    }
}
