//! What the fuzz targets of this crate's decoders start from, and every input that ever failed there: without a fuzzer,
//! on a stable compiler.

#[path = "../../fuzz/src/decoders.rs"]
mod decoders;
#[path = "../../fuzz/src/document.rs"]
mod document;
#[allow(dead_code, reason = "the targets use all of it")]
#[path = "../../fuzz/src/input.rs"]
mod input;
#[path = "../../fuzz/src/json.rs"]
mod json;
#[path = "../../fuzz/src/kept.rs"]
mod kept;
#[path = "../../fuzz/src/schema.rs"]
mod schema;

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn values_that_failed_once() {
    kept::each("value", decoders::value);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn shapes_that_failed_once() {
    kept::each("shape", decoders::shape);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn batches_that_failed_once() {
    kept::each("batch", decoders::batch);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn carried_batches_that_failed_once() {
    kept::each("carried", decoders::carried);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn rows_that_failed_once() {
    kept::each("row", decoders::row);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn documents_that_failed_once() {
    kept::each("document", document::document);
}

#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn json_that_failed_once() {
    kept::each("json", json::json);
}
