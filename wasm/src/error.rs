//! [`Error`]: what JavaScript gets as a `RejoinError`. The codes are listed and explained in `js/rejoin.d.ts`.

use alloc::string::String;
use alloc::string::ToString;
use crdt_core::codec::DecodeError;
use crdt_core::{
    ApplyError, ClockError, CommitError, CounterOverflow, EditError, LimitExceeded, OpenError, StoreError,
    Value,
};
use sync_protocol::SessionError;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::bridge::{encode, number, object};

#[wasm_bindgen(raw_module = "./glue.js")]
extern "C" {
    /// Makes a `RejoinError`; the details are an encoded object.
    #[wasm_bindgen(js_name = rejoinError)]
    fn rejoin_error(code: &str, message: &str, details: &[u8]) -> JsValue;
}

/// An error with a code for programs, a message for people, and details.
#[derive(Debug)]
pub struct Error {
    code: &'static str,
    message: String,
    details: Value,
}

impl Error {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::with(code, message, object([]))
    }

    fn with(code: &'static str, message: impl Into<String>, details: Value) -> Self {
        Self { code, message: message.into(), details }
    }

    /// A call that makes no sense.
    pub(crate) fn argument(message: &str) -> Self {
        Self::new("argument", message)
    }

    /// The replica is in use further up the call stack.
    pub(crate) fn busy() -> Self {
        Self::new(
            "busy",
            "the replica is in a transaction or in a custom function: use `tx` there, or wait until it is over",
        )
    }
}

impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        rejoin_error(error.code, &error.message, &encode(&error.details))
    }
}

impl From<LimitExceeded> for Error {
    fn from(error: LimitExceeded) -> Self {
        let details = object([
            ("what", Some(error.what.into())),
            ("size", Some(number(error.size as u64))),
            ("limit", Some(number(error.limit as u64))),
        ]);
        Self::with("limit", error.to_string(), details)
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Limit(error) => error.into(),
            error => Self::new("decode", error.to_string()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let code = if matches!(error, StoreError::WrongNamespace) { "wrong-namespace" } else { "store" };
        Self::new(code, error.to_string())
    }
}

impl From<ClockError> for Error {
    fn from(error: ClockError) -> Self {
        Self::new("clock", error.to_string())
    }
}

impl From<CounterOverflow> for Error {
    fn from(error: CounterOverflow) -> Self {
        let details = object([("total", Some(number(error.total))), ("step", Some(number(error.step)))]);
        Self::with("overflow", error.to_string(), details)
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        let message = error.to_string();
        match error {
            EditError::WrongType { field, declared, operation } => {
                let details = object([
                    ("field", Some((&*field).into())),
                    ("declared", Some(declared.into())),
                    ("operation", Some(operation.into())),
                ]);
                Self::with("wrong-type", message, details)
            }
            EditError::OnlyGrows { field } => {
                Self::with("only-grows", message, object([("field", Some((&*field).into()))]))
            }
            EditError::Unresolved { field } => Self::unresolved(&field),
            EditError::Overflow(error) => error.into(),
            EditError::Limit(error) => error.into(),
            EditError::Clock(error) => error.into(),
        }
    }
}

impl Error {
    /// A `manual` field in conflict.
    pub(crate) fn unresolved(field: &str) -> Self {
        let message = [
            "the field \"",
            field,
            "\" has several simultaneous values: look at conflicts() and call resolve()",
        ];
        Self::with("unresolved", message.concat(), object([("field", Some(field.into()))]))
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Limit(error) => error.into(),
        }
    }
}

impl From<CommitError<JsValue>> for Thrown {
    fn from(error: CommitError<JsValue>) -> Self {
        match error {
            CommitError::Aborted(thrown) => Self(thrown),
            CommitError::Store(error) => Error::from(error).into(),
            CommitError::Clock(error) => Error::from(error).into(),
        }
    }
}

/// What a callback threw, to be thrown on as it is.
#[derive(Debug)]
pub struct Thrown(JsValue);

impl From<Error> for Thrown {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        thrown.0
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        SessionError::from(error).into()
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        let code = match &error {
            SessionError::Decode(error) => return (*error).into(),
            SessionError::Damaged => "damaged",
            SessionError::Missing { .. } => "missing-messages",
            SessionError::WrongNamespace => "wrong-namespace",
            SessionError::Version { .. } => "protocol-version",
            SessionError::Unauthenticated => "unauthenticated",
            SessionError::MustFollow => "must-follow",
            SessionError::Superseded => "superseded",
            SessionError::TooManyRefusals => "too-many-refusals",
            SessionError::Unexpected(_) => "unexpected-message",
            SessionError::Echo => "echo",
            SessionError::SameLife => "same-life",
            SessionError::Forked => "forked",
            SessionError::IdentityChanged => "identity-changed",
            SessionError::Ended(_) => "session-ended",
            SessionError::Store(_) => "store",
            _ => "session",
        };
        let details = match error {
            SessionError::Missing { messages } => object([("messages", Some(number(messages)))]),
            SessionError::Version { theirs, ours } => {
                object([("theirs", Some(number(theirs.into()))), ("ours", Some(number(ours.into())))])
            }
            _ => object([]),
        };
        Self::with(code, error.to_string(), details)
    }
}
