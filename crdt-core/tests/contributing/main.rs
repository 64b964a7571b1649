//! The worked example of CONTRIBUTING.md: a type in one file, as it would stand in `src/types`, and its laws.

extern crate alloc;

// So that the file says `crate`, as it would there.
#[allow(unused_imports, reason = "the example needs a few of them")]
pub use crdt_core::*;

pub mod high_water_mark;

#[test]
fn the_example_is_the_one_in_the_text() {
    let text = include_str!("../../../CONTRIBUTING.md");
    let file = include_str!("high_water_mark.rs");
    assert!(text.contains(&format!("```rust\n{file}```")), "copy high_water_mark.rs into CONTRIBUTING.md");
}
