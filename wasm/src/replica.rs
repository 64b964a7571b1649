//! [`Core`]: a replica in memory, for the class `Replica` of the JavaScript half.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crdt_core::{
    Collection, DocumentId, DocumentView, Durability, Head, Life, MemoryStore, Name, Namespace, ReceiveBound,
    ReplicaId, Spare, Value,
};
use sync_protocol::Config;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::bridge::{Request, dot, encode, encode_option, list, uuid};
use crate::door::Guard;
use crate::edit::{operate, parse_id};
use crate::error::{Error, Thrown};
use crate::schema::{Custom, collection};
use crate::session::SessionCore;
use crate::view::View;
use crate::{describe, state};

pub(crate) type Replica = crdt_core::Replica<MemoryStore>;

#[wasm_bindgen]
extern "C" {
    /// The callback of a transaction, wrapped by the JavaScript half: it gets the function that does the edits.
    pub type Edits;

    #[wasm_bindgen(method, catch, js_name = call)]
    fn run(
        this: &Edits,
        this_argument: &JsValue,
        edit: &dyn Fn(Vec<u8>) -> Result<Vec<u8>, JsValue>,
    ) -> Result<(), JsValue>;
}

/// A replica that may be asked for while it is in use: then it is busy, and nothing happens.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Rc<RefCell<Replica>>);

impl Shared {
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Replica) -> Result<R, Error>) -> Result<R, Error> {
        work(&mut *self.0.try_borrow_mut().map_err(|_| Error::busy())?)
    }
}

/// A replica in memory.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    shared: Shared,
    durable: bool,
}

#[wasm_bindgen]
impl Core {
    /// Opens an empty replica under ids that were drawn at random.
    ///
    /// # Errors
    /// `argument` when the ids are not 16 and 8 bytes.
    #[wasm_bindgen(constructor)]
    pub fn new(
        secret: &[u8],
        replica: &[u8],
        life: &[u8],
        durable: bool,
        follows: bool,
    ) -> Result<Self, Error> {
        let (Ok(replica), Ok(life)) = (replica.try_into(), life.try_into()) else {
            return Err(Error::argument("`random` has to give as many bytes as it is asked for"));
        };
        let (replica, life) = (ReplicaId::from_bytes(replica), Life(u64::from_be_bytes(life)));
        let head = Head::new(Namespace::from_secret(secret), replica, life);
        let mut replica = Replica::new(MemoryStore::new(head));
        replica.keep_time(ReceiveBound::default());
        if follows {
            replica.follow()?;
        }
        Ok(Self { shared: Shared(Rc::new(RefCell::new(replica))), durable })
    }

    /// Declares a collection; see `schema.rs` for the form of `fields`.
    ///
    /// # Errors
    /// `argument` for a type that there is not; `busy`.
    #[allow(clippy::needless_pass_by_value)] // lists cross by value only
    pub fn declare(
        &self,
        name: &str,
        fields: &[u8],
        functions: Vec<Custom>,
        delete_wins: bool,
    ) -> Result<(), Error> {
        let declared: Collection = collection(name, fields, &functions, delete_wins)?;
        self.shared.with(|replica| {
            replica.declare(declared);
            Ok(())
        })
    }

    /// Commits what the callback edits, all or nothing; gives the encoded dot, if there is one.
    ///
    /// # Errors
    /// What the callback threw; `busy`.
    pub fn transact(&self, now_ms: f64, edits: &Edits) -> Result<Vec<u8>, Thrown> {
        let mut replica = self.shared.0.try_borrow_mut().map_err(|_| Error::busy())?;
        let committed = replica.commit(ms(now_ms), Durability::Visible, |tx| {
            let tx = RefCell::new(tx);
            edits.run(&JsValue::UNDEFINED, &|request: Vec<u8>| {
                // A custom function that runs while a document is read could come back here.
                let mut tx = tx.try_borrow_mut().map_err(|_| Error::busy())?;
                Ok(operate(&mut tx, &request)?)
            })
        })?;
        Ok(encode_option(committed.dot.map(dot).as_ref()))
    }

    /// What a document shows; nothing when it is not there.
    ///
    /// # Errors
    /// `argument` for an id that is none; `busy`.
    pub fn get(&self, collection: &str, id: &str) -> Result<Vec<u8>, Error> {
        Ok(encode_option(self.read(collection, id)?.to_value().as_ref()))
    }

    /// A document with everything that can be asked of it; nothing when it is not there.
    ///
    /// # Errors
    /// As [`Core::get`].
    pub fn view(&self, collection: &str, id: &str) -> Result<Option<View>, Error> {
        let view = self.read(collection, id)?;
        Ok(view.exists().then(|| View::of_document(view)))
    }

    /// A page of the documents of a collection as `[id, document]`, after an id; from the first with an empty one.
    ///
    /// # Errors
    /// As [`Core::get`].
    pub fn list(&self, collection: &str, after: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let after = if after.is_empty() { None } else { Some(parse_id(after)?) };
        let page = self.shared.with(|replica| Ok(replica.list(collection, after, limit)?))?;
        let entry = |(id, view): &(DocumentId, DocumentView)| {
            let id = Value::from(uuid(id.as_bytes()));
            list(&mut [id, view.to_value().unwrap_or(Value::Null)].into_iter())
        };
        Ok(encode(&list(&mut page.iter().map(entry))))
    }

    /// Starts or stops collecting events.
    ///
    /// # Errors
    /// `busy`.
    pub fn listen(&self, listen: bool) -> Result<(), Error> {
        self.shared.with(|replica| {
            replica.collect_events(listen);
            Ok(())
        })
    }

    /// The events since the last call.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(js_name = takeEvents)]
    pub fn take_events(&self) -> Result<Vec<u8>, Error> {
        let events = self.shared.with(|replica| Ok(replica.take_events()))?;
        Ok(if events.is_empty() {
            Vec::new()
        } else {
            encode(&list(&mut events.iter().map(describe::change)))
        })
    }

    /// How the replica and its peers are getting on.
    ///
    /// # Errors
    /// `busy`.
    pub fn status(&self, now_ms: f64) -> Result<Vec<u8>, Error> {
        self.shared.with(|replica| Ok(encode(&describe::replica_status(&replica.status(ms(now_ms))?))))
    }

    /// Starts a session with 8 random bytes, an id and 8 bytes to go on with if the replica turns out to be a copy, a token to
    /// show, and a guard that looks at the peer's.
    ///
    /// # Errors
    /// `argument` when they are not as many; `busy`.
    #[allow(clippy::too_many_arguments)] // what crosses the border crosses in pieces
    pub fn session(
        &self,
        nonce: &[u8],
        spare_replica: &[u8],
        spare_life: &[u8],
        timeout_ms: f64,
        now_ms: f64,
        token: Option<Vec<u8>>,
        guard: Option<Guard>,
    ) -> Result<SessionCore, Error> {
        let (Ok(nonce), Ok(id), Ok(life)) =
            (nonce.try_into(), spare_replica.try_into(), spare_life.try_into())
        else {
            return Err(Error::argument("`random` has to give as many bytes as it is asked for"));
        };
        let spare = Spare { replica: ReplicaId::from_bytes(id), life: Life(u64::from_be_bytes(life)) };
        let mut config = Config::new(u64::from_be_bytes(nonce)).spare(spare);
        (config.durable, config.timeout_ms) = (self.durable, ms(timeout_ms));
        SessionCore::start(self.shared.clone(), config, token, guard, ms(now_ms))
    }

    /// The changes that a server refused.
    ///
    /// # Errors
    /// `busy`.
    pub fn rejected(&self) -> Result<Vec<u8>, Error> {
        self.shared.with(|replica| {
            let rejected = replica.rejected()?;
            Ok(encode(&list(&mut rejected.into_iter().map(|change| describe::rejected(change, replica)))))
        })
    }

    /// Forgets a change that a server refused, named by its encoded dot; false when there is none of that name.
    ///
    /// # Errors
    /// `argument` for a dot that is none; `busy`.
    #[wasm_bindgen(js_name = dropRejected)]
    pub fn drop_rejected(&self, dot: &[u8]) -> Result<bool, Error> {
        let dot = Request::read(dot)?.dot()?;
        self.shared.with(|replica| Ok(replica.drop_rejected(dot)?))
    }

    /// The changes that are not shown, because the clock of their author is ahead; the soonest first, so many at most.
    ///
    /// # Errors
    /// `busy`.
    pub fn parked(&self, limit: usize, now_ms: f64) -> Result<Vec<u8>, Error> {
        self.shared.with(|replica| {
            replica.tick(ms(now_ms))?;
            Ok(encode(&list(&mut replica.parked(None, limit)?.iter().map(describe::parked))))
        })
    }

    /// The whole state as bytes.
    ///
    /// # Errors
    /// `limit`, `busy`.
    pub fn export(&self) -> Result<Vec<u8>, Error> {
        self.shared.with(state::export)
    }

    /// Merges an exported state; gives the number of cells that changed.
    ///
    /// # Errors
    /// See `state.rs`; `busy`.
    pub fn import(&self, state: &[u8], now_ms: f64) -> Result<f64, Error> {
        let cells = self.shared.with(|replica| {
            // One that starts from the state shows what was shown there, whatever the time is now.
            if replica.head()?.sequence > 0 {
                replica.tick(ms(now_ms))?;
            }
            state::import(replica, state)
        })?;
        #[allow(clippy::cast_precision_loss)] // limited to far less than 2^53
        Ok(cells as f64)
    }

    /// The fingerprint in hex.
    ///
    /// # Errors
    /// `busy`.
    pub fn root(&self) -> Result<String, Error> {
        self.shared.with(|replica| Ok(describe::root(replica.head()?.root)))
    }

    /// The id under which this replica writes.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(js_name = replicaId)]
    pub fn replica_id(&self) -> Result<String, Error> {
        self.shared.with(|replica| Ok(uuid(replica.head()?.replica.as_bytes())))
    }

    /// All cells in canonical bytes.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(js_name = canonicalBytes)]
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, Error> {
        self.shared.with(|replica| Ok(replica.canonical_bytes()?))
    }

    fn read(&self, collection: &str, id: &str) -> Result<DocumentView, Error> {
        let id = parse_id(id)?;
        self.shared.with(|replica| Ok(replica.read(Name::from(collection), id)?))
    }
}

/// A time that JavaScript gave; it has checked that it is one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
pub(crate) fn ms(ms: f64) -> u64 {
    ms as u64
}
