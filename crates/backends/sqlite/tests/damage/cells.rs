//! [`Cell`]: one column of one row, damaged and put back.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

pub(crate) struct Cell {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) rowid: i64,
}

/// Nothing, other types, numbers out of range, and numbers that are merely others.
pub(crate) fn nonsense() -> Vec<Value> {
    let numbers = [i64::MIN, -1, 0, 3, 200, 1 << 32, 1 << 53, i64::MAX];
    let mut values: Vec<Value> = numbers.map(Value::Integer).to_vec();
    values.extend([
        Value::Null,
        Value::Real(1.5),
        Value::Text("x".to_owned()),
        Value::Text(String::new()),
        Value::Blob(vec![0xff, 0xfe]),
        Value::Blob(Vec::new()),
    ]);
    values
}

impl Cell {
    pub(crate) fn get(&self, conn: &Connection) -> Value {
        let sql = format!(
            "SELECT {} FROM {} WHERE rowid = ?1",
            self.column, self.table
        );
        conn.query_row(&sql, [self.rowid], |row| row.get(0))
            .unwrap()
    }

    /// False if the table's own constraints do not let it in.
    pub(crate) fn set(&self, conn: &Connection, value: &Value) -> bool {
        let sql = format!(
            "UPDATE {} SET {} = ?2 WHERE rowid = ?1",
            self.table, self.column
        );
        match conn.execute(&sql, params![self.rowid, value]) {
            Ok(changed) => changed == 1,
            Err(error) => {
                let code = error.sqlite_error_code();
                assert_eq!(
                    code,
                    Some(rusqlite::ErrorCode::ConstraintViolation),
                    "{error}"
                );
                false
            }
        }
    }

    pub(crate) fn said(&self, value: &Value) -> String {
        format!(
            "{}.{} of row {} = {value:?}",
            self.table, self.column, self.rowid
        )
    }
}

/// The rows of a table that belong to the damaged grain.
pub(crate) fn rows(conn: &Connection, table: &str, condition: &str) -> Vec<i64> {
    let sql = format!("SELECT rowid FROM {table} WHERE {condition} ORDER BY rowid");
    let mut select = conn.prepare(&sql).unwrap();
    let rows = select.query_map((), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
