//! What the fuzz target of the column `data` starts from, and every input that ever failed there.

#[path = "../../fuzz/src/kept.rs"]
mod kept;
#[path = "../../fuzz/src/sqlite_json.rs"]
mod sqlite_json;

#[test]
fn columns_that_failed_once() {
    kept::each("sqlite_json", sqlite_json::sqlite_json);
}
