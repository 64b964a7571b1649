//! What the fuzz targets do with an input, apart from libFuzzer: so the tests of the crates can do the same with every
//! input that ever failed (`fuzz/regressions`), on a stable compiler.
//!
//! | file | subject |
//! |---|---|
//! | `input.rs` | takes the bytes of a fuzzer apart |
//! | `memory.rs` | the cap on memory |
//! | `decoders.rs` | values, shapes, batches, rows |
//! | `schema.rs` | what an app declares and edits |
//! | `document.rs` | what is done with a document that came from anybody |
//! | `json.rs`, `sqlite_json.rs` | JSON of the public types, and in the column `data` |
//! | `bundle.rs`, `framing.rs` | files and byte streams |
//! | `wire.rs` | seals, proofs and messages, made anew |
//! | `hostile.rs` | cells that no honest peer makes, and damage to messages |
//! | `forged.rs` | messages about what is held and who is who |
//! | `partial.rs` | messages of sides that hold a part, or nothing yet |
//! | `link.rs` | the line between victim and peer, held by the adversary |
//! | `session.rs`, `acts.rs`, `checks.rs` | a session fed by an adversary: the world, what can happen, what has to hold |
//! | `apart.rs` | what holds of a victim that holds a part, or loads |
//! | `kept.rs` | the inputs in the repository, for the tests of the crates |
//! | `audit.rs`, `shown.rs` | what has to hold of a store afterwards, and of what it shows |

pub mod acts;
pub mod apart;
pub mod audit;
pub mod bundle;
pub mod checks;
pub mod decoders;
pub mod document;
pub mod forged;
pub mod framing;
pub mod hostile;
pub mod input;
pub mod json;
pub mod kept;
pub mod link;
pub mod memory;
pub mod partial;
pub mod schema;
pub mod session;
pub mod shown;
pub mod sqlite_json;
pub mod wire;
