//! [`Guard`]: an app's function that says who is let in, and to what.

use alloc::boxed::Box;
use alloc::vec::Vec;
use crdt_core::{Refusal, Value};
use sync_protocol::door::{Applicant, Authenticate, Authorize, Right, Rules};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::bridge::{Request, encode, hex, object, read, uuid};
use crate::error::Error;

#[wasm_bindgen]
extern "C" {
    /// A guard, wrapped by the JavaScript half: it takes an encoded applicant, and gives an encoded verdict,
    /// `["rights", whose or "", right of all, collection, right, …]` or `["refusal", code, reason]`. It never throws.
    pub type Guard;

    #[wasm_bindgen(method, catch, js_name = call)]
    fn judge(this: &Guard, this_argument: &JsValue, applicant: &[u8]) -> Result<Vec<u8>, JsValue>;
}

impl Authenticate for Guard {
    fn authenticate(&self, applicant: &Applicant<'_>) -> Result<Box<dyn Authorize>, Refusal> {
        let asked = object([
            ("replica", Some(uuid(applicant.replica.as_bytes()).into())),
            ("life", Some(hex(&applicant.life.0.to_be_bytes()).into())),
            ("token", applicant.token.map(Value::from)),
        ]);
        let verdict = self.judge(&JsValue::UNDEFINED, &encode(&asked)).unwrap_or_default();
        // Whatever goes wrong, nobody is let in by it.
        let verdict = read_verdict(&verdict).unwrap_or_else(|_| Err(Refusal::new(500, "the guard failed")));
        verdict.map(|rules| Box::new(rules) as Box<dyn Authorize>)
    }
}

fn read_verdict(bytes: &[u8]) -> Result<Result<Rules, Refusal>, Error> {
    let mut verdict = Request::of(read(bytes, &crdt_core::Limits::DEFAULT)?)?;
    if &*verdict.name()? == "refusal" {
        let code = u16::try_from(verdict.int()?).map_err(|_| Error::argument("a code has 16 bits"))?;
        return Ok(Err(Refusal::new(code, &*verdict.name()?)));
    }
    let principal = verdict.name()?;
    let mut rules = Rules::all(read_right(&verdict.name()?)?);
    if !principal.is_empty() {
        rules = rules.of(&*principal);
    }
    while !verdict.is_empty() {
        let collection = verdict.name()?;
        rules = rules.collection(collection, read_right(&verdict.name()?)?);
    }
    Ok(Ok(rules))
}

fn read_right(right: &str) -> Result<Right, Error> {
    Ok(match right {
        "none" => Right::None,
        "read" => Right::Read,
        "write" => Right::Write,
        "readWrite" => Right::ReadWrite,
        _ => return Err(Error::argument("there is no such right")),
    })
}
