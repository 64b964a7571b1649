//! [`DocumentMut`]: local edits of one document or nested map within a transaction.
//!
//! Every edit goes the same way: see what is shown, stop if the edit would change nothing, clear what lies beneath a
//! container that is seen dead (a *re-create*), touch the enclosing containers, write. All of it goes into the transaction's
//! own copy of the document, so later steps observe earlier ones. Every cell that is written bears the transaction's dot: so
//! what was written, the delta, can be told from what was there before.

use crate::cells::{Chain as _, Written};
use crate::document::{Document, DocumentId, Field, Map, MapView, Path, Payload};
use crate::limits::{LimitExceeded, Limits};
use crate::types::CounterOverflow;
use crate::{Change, ClockError, Collection, FieldType, Flag, Hlc, Lattice as _, Name, Value, codec};

/// An edit that cannot be made. The transaction is as it was before the edit and can go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The field is declared as another type: use the operation that fits, or declare it otherwise.
    #[error("the field \"{field}\" is a {declared}; it cannot be {operation}")]
    WrongType {
        /// The field.
        field: Name,
        /// What it is declared as.
        declared: &'static str,
        /// What was tried.
        operation: &'static str,
    },
    /// A grow-only field would shrink.
    #[error("the field \"{field}\" only grows")]
    OnlyGrows {
        /// The field.
        field: Name,
    },
    /// A `manual` field with several concurrent values was set: look at them and call `resolve`.
    #[error("the field \"{field}\" has several concurrent values; look at conflicts() and call resolve()")]
    Unresolved {
        /// The field.
        field: Name,
    },
    /// Split the counter, or reset it.
    #[error(transparent)]
    Overflow(#[from] CounterOverflow),
    /// Write less.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// See there.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

/// One document within a transaction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Working {
    /// What it is now.
    pub(crate) state: Document,
    /// Something was written into it.
    pub(crate) is_edited: bool,
}

impl Working {
    /// Gives what was written the change's final stamp, if it had to be raised meanwhile.
    pub(crate) fn finish(mut self, began: &Change, change: &Change) -> Self {
        if began != change {
            self.state.restamp(change);
        }
        self
    }
}

/// A document, or a nested map of one, that a transaction edits.
#[derive(Debug)]
pub struct DocumentMut<'t> {
    pub(crate) working: &'t mut Working,
    /// The state, where it is more than what is shown because cells are parked.
    pub(crate) hidden: Option<&'t Document>,
    /// Stamps after this one are not followed but exceeded by an epoch.
    pub(crate) latest: Hlc,
    pub(crate) change: &'t mut Change,
    pub(crate) collection: &'t Collection,
    pub(crate) limits: &'t Limits,
    pub(crate) id: DocumentId,
    pub(crate) path: Path,
}

impl DocumentMut<'_> {
    /// The document's id.
    pub const fn id(&self) -> DocumentId {
        self.id
    }

    /// What the document or map shows now, earlier edits of this transaction included.
    pub fn view(&self) -> MapView<'_> {
        MapView::of(&self.working.state, self.collection, &self.path)
    }

    /// Opens a nested map for editing. It comes into being with the first edit inside it.
    ///
    /// # Errors
    /// [`EditError::WrongType`] when the field is declared as something else; [`EditError::Limit`] when maps nest too
    /// deep or the name is too long.
    pub fn map(&mut self, field: impl Into<Name>) -> Result<DocumentMut<'_>, EditError> {
        let field = field.into();
        self.expect(&field, "opened as a map", |t| matches!(t, FieldType::Map(_)))?;
        LimitExceeded::check("nesting of maps", self.path.len() + 1, self.limits.depth)?;
        let mut path = self.path.clone();
        path.push(field);
        Ok(DocumentMut {
            working: self.working,
            hidden: self.hidden,
            latest: self.latest,
            change: self.change,
            collection: self.collection,
            limits: self.limits,
            id: self.id,
            path,
        })
    }

    /// Makes the document or map exist, even without fields. On one that exists this protects it against a deletion
    /// made elsewhere at the same time.
    ///
    /// # Errors
    /// [`EditError::Clock`].
    pub fn ensure(&mut self) -> Result<(), EditError> {
        self.prepare()
    }

    /// Sets a register field. Setting the value that the field has already writes nothing.
    ///
    /// # Errors
    /// [`EditError::Unresolved`] for a `manual` field in conflict; else as [`DocumentMut::map`].
    pub fn set(&mut self, field: impl Into<Name>, value: impl Into<Value>) -> Result<(), EditError> {
        self.write(&field.into(), Payload::Present(value.into()), false)
    }

    /// Sets a register field in place of all its concurrent values. It syncs like any write.
    ///
    /// # Errors
    /// As [`DocumentMut::map`].
    pub fn resolve(&mut self, field: impl Into<Name>, value: impl Into<Value>) -> Result<(), EditError> {
        self.write(&field.into(), Payload::Present(value.into()), true)
    }

    /// Removes whatever the field shows: a value becomes absent, a set empty, a counter 0, a flag off, a map is removed
    /// as a whole (and comes back as a whole if it is edited elsewhere at the same time).
    ///
    /// # Errors
    /// [`EditError::Unresolved`] for a `manual` field in conflict, [`EditError::OnlyGrows`] for a grow-only field.
    pub fn remove(&mut self, field: impl Into<Name>) -> Result<(), EditError> {
        let field = field.into();
        let declared = self.declared(&field);
        if declared.is_some_and(|t| matches!(t, FieldType::GrowCounter | FieldType::GrowSet)) {
            return Err(EditError::OnlyGrows { field });
        }
        let view = self.view();
        let Some(shown) = view.field(&field) else { return Ok(()) };
        let is_map = shown.map().is_some_and(Map::is_present);
        let (has_elements, is_on) = (view.elements(&field).next().is_some(), view.flag(&field));
        let has_counted = shown.counter().is_some_and(crate::PNCounter::has_counted);
        if declared.is_none_or(FieldType::is_register) {
            self.write(&field, Payload::Absent, false)?;
        }
        if has_elements || is_on || has_counted || is_map {
            self.apply(&field, |state, change| {
                let kinds = state.others_mut();
                kinds.elements.clear(change);
                kinds.flag.disable(change);
                kinds.counter.reset(change);
                kinds.map.presence.disable(change);
            })?;
        }
        Ok(())
    }

    /// Counts a counter up, or down with a negative step. A step of 0 writes nothing.
    ///
    /// # Errors
    /// [`EditError::Overflow`] when this replica's total would leave 64 bits, [`EditError::OnlyGrows`] for a negative
    /// step on a grow-only counter; else as [`DocumentMut::map`].
    pub fn increment(&mut self, field: impl Into<Name>, step: i64) -> Result<(), EditError> {
        let field = field.into();
        self.expect(&field, "counted", |t| matches!(t, FieldType::Counter | FieldType::GrowCounter))?;
        if step < 0 && matches!(self.declared(&field), Some(FieldType::GrowCounter)) {
            return Err(EditError::OnlyGrows { field });
        }
        if step == 0 {
            return Ok(());
        }
        // Clearing a counter beneath a dead document does not change what this replica has counted, so the overflow
        // can be found before anything is touched.
        let before =
            MapView::raw(&self.working.state, &self.path).and_then(|map| map.field(&field)?.counter());
        let mut before = before.cloned().unwrap_or_default();
        // What others have seen of this replica's counting is true whenever they say that they saw it.
        let hidden =
            self.hidden.and_then(|hidden| MapView::raw(hidden, &self.path)?.field(&field)?.counter());
        if let Some(hidden) = hidden {
            before.merge(hidden.clone());
        }
        let counted = before.add(*self.change, step)?;
        self.apply(&field, |state, _| state.others_mut().counter.tallies.put_all(counted.tallies))
    }

    /// Starts a counter again from 0. Steps made elsewhere at the same time still count.
    ///
    /// # Errors
    /// [`EditError::OnlyGrows`] for a grow-only counter; else as [`DocumentMut::map`].
    pub fn reset(&mut self, field: impl Into<Name>) -> Result<(), EditError> {
        let field = field.into();
        self.expect(&field, "reset", |t| matches!(t, FieldType::Counter | FieldType::GrowCounter))?;
        if matches!(self.declared(&field), Some(FieldType::GrowCounter)) {
            return Err(EditError::OnlyGrows { field });
        }
        if !self.view().field(&field).and_then(Field::counter).is_some_and(crate::PNCounter::has_counted) {
            return Ok(());
        }
        self.apply(&field, |state, change| {
            state.others_mut().counter.reset(change);
        })
    }

    /// Adds an element to a set. On an element that is there already this protects it against a removal made elsewhere
    /// at the same time; a grow-only set needs no such protection and writes nothing.
    ///
    /// # Errors
    /// As [`DocumentMut::map`]; [`EditError::Limit`] for an element beyond the value limits.
    pub fn add_to(&mut self, field: impl Into<Name>, element: impl Into<Value>) -> Result<(), EditError> {
        let (field, element) = (field.into(), element.into());
        self.expect(&field, "added to", |t| matches!(t, FieldType::Set | FieldType::GrowSet))?;
        self.check_value(&element)?;
        if matches!(self.declared(&field), Some(FieldType::GrowSet)) && self.view().contains(&field, &element)
        {
            return Ok(());
        }
        self.apply(&field, |state, change| {
            state.others_mut().elements.add(change, element);
        })
    }

    /// Removes an element from a set, as far as it is seen here; nothing happens when it is not in the set.
    ///
    /// # Errors
    /// [`EditError::OnlyGrows`] for a grow-only set; else as [`DocumentMut::map`].
    pub fn remove_from(
        &mut self,
        field: impl Into<Name>,
        element: impl Into<Value>,
    ) -> Result<(), EditError> {
        let (field, element) = (field.into(), element.into());
        self.expect(&field, "removed from", |t| matches!(t, FieldType::Set | FieldType::GrowSet))?;
        if matches!(self.declared(&field), Some(FieldType::GrowSet)) {
            return Err(EditError::OnlyGrows { field });
        }
        if !self.view().contains(&field, &element) {
            return Ok(());
        }
        self.apply(&field, |state, change| {
            state.others_mut().elements.remove(change, &element);
        })
    }

    /// Switches a flag on. On one that is on already this protects it against being switched off elsewhere at the same time.
    ///
    /// # Errors
    /// As [`DocumentMut::map`].
    pub fn enable(&mut self, field: impl Into<Name>) -> Result<(), EditError> {
        let field = field.into();
        self.expect(&field, "switched on", |t| matches!(t, FieldType::Flag))?;
        self.apply(&field, |state, change| {
            state.others_mut().flag.enable(change);
        })
    }

    /// Switches a flag off, as far as it is seen to be on here.
    ///
    /// # Errors
    /// As [`DocumentMut::map`].
    pub fn disable(&mut self, field: impl Into<Name>) -> Result<(), EditError> {
        let field = field.into();
        self.expect(&field, "switched off", |t| matches!(t, FieldType::Flag))?;
        if !self.view().flag(&field) {
            return Ok(());
        }
        self.apply(&field, |state, change| {
            state.others_mut().flag.disable(change);
        })
    }

    /// Deletes the whole document. Its fields are hidden, not gone: an edit made elsewhere at the same time brings it
    /// back whole, unless the collection says `delete_wins`. Deleting what is not there writes nothing.
    ///
    /// Called on a nested map it deletes the document all the same; [`DocumentMut::remove`] removes a map.
    pub fn delete(&mut self) {
        let Working { state, is_edited } = &mut *self.working;
        if !state.is_alive(self.collection.deletes_win()) {
            return;
        }
        state.root.presence.disable(*self.change);
        if self.collection.deletes_win() {
            state.deletion.enable(*self.change);
        }
        *is_edited = true;
    }

    /// Deletes the document and closes all its fields now, for privacy. An edit made elsewhere at the same time then
    /// brings back only itself. Bytes that were synced before stay with their receivers until they sync. Names stay in the
    /// state, hidden: those of fields, and the elements of sets, which are the names of their marks. What has to be gone for
    /// privacy belongs into values.
    ///
    /// # Errors
    /// [`EditError::Clock`].
    pub fn erase(&mut self) -> Result<(), EditError> {
        self.exceed_fields_of(0)?;
        self.delete();
        let Working { state, is_edited } = &mut *self.working;
        *is_edited |= !state.root.clear_fields(*self.change).is_empty();
        Ok(())
    }

    /// Writes a register.
    fn write(&mut self, field: &Name, payload: Payload, resolve: bool) -> Result<(), EditError> {
        self.expect(field, "set", FieldType::is_register)?;
        if let Payload::Present(value) = &payload {
            self.check_value(value)?;
        }
        let declared = self.declared(field);
        let siblings = declared.is_some_and(FieldType::keeps_siblings);
        let manual = matches!(declared, Some(FieldType::Manual));
        let candidates = self.view().field(field).map(Field::candidates).unwrap_or_default();
        match candidates.as_slice() {
            [] if payload == Payload::Absent => return Ok(()),
            [only] if *only.value == payload => return Ok(()),
            [_, _, ..] if manual && !resolve => return Err(EditError::Unresolved { field: field.clone() }),
            _ => {}
        }
        let began = *self.change;
        let raised = self.exceed_register(field).map_err(EditError::from);
        let written = raised.and_then(|()| {
            self.apply(field, |state, change| {
                if siblings {
                    state.register.close(change);
                    state.others_mut().siblings.write(change, payload);
                } else {
                    if state.siblings().is_some_and(|siblings| !siblings.is_empty()) {
                        state.others_mut().siblings.clear(change);
                    }
                    state.register.cell = Some(Written::Open { by: change, content: payload });
                }
            })
        });
        if written.is_err() {
            *self.change = began;
        }
        written
    }

    /// Prepares the enclosing containers, then writes.
    fn apply(&mut self, field: &Name, step: impl FnOnce(&mut Field, Change)) -> Result<(), EditError> {
        self.prepare()?;
        step(self.working.state.root.descend_mut(&self.path).field_mut(field), *self.change);
        Ok(())
    }

    /// Clears what lies beneath the outermost container that is seen dead, then touches all containers.
    fn prepare(&mut self) -> Result<(), EditError> {
        if let Some(dead) = self.outermost_dead() {
            self.exceed_fields_of(dead)?;
            let state = &mut self.working.state;
            if dead == 0 {
                state.deletion.disable(*self.change);
            }
            let path = &self.path[..dead];
            if state.root.descend(path).is_some() {
                state.root.descend_mut(path).clear_fields(*self.change);
            }
        }
        let Working { state, is_edited } = &mut *self.working;
        for depth in 0..=self.path.len() {
            touch(&mut state.root.descend_mut(&self.path[..depth]).presence, *self.change);
        }
        *is_edited = true;
        Ok(())
    }

    /// How many names lead to the outermost container that is not there; `None` when all are.
    fn outermost_dead(&self) -> Option<usize> {
        if !self.working.state.is_alive(self.collection.deletes_win()) {
            return Some(0);
        }
        let present = |depth| {
            let map = self.working.state.root.descend(&self.path[..depth]);
            map.is_some_and(Map::is_present)
        };
        (1..=self.path.len()).find(|depth| !present(*depth))
    }

    /// Raises the transaction's stamp above the writes that a write to the field replaces.
    fn exceed_register(&mut self, field: &Name) -> Result<(), ClockError> {
        let stamp = MapView::raw(&self.working.state, &self.path)
            .and_then(|map| map.field(field)?.register_stamp())
            .filter(|stamp| *stamp != self.change.stamp);
        stamp.map_or(Ok(()), |stamp| self.change.exceed_until(&stamp, self.latest))
    }

    /// Raises the transaction's stamp above all writes beneath the container at a depth of the path.
    fn exceed_fields_of(&mut self, depth: usize) -> Result<(), ClockError> {
        let mut greatest = None;
        if let Some(map) = MapView::raw(&self.working.state, &self.path[..depth]) {
            map.visit(&mut Path::new(), &mut |_, cell| {
                let stamp = cell.greatest_stamp();
                greatest = greatest.max(Some(stamp).filter(|stamp| *stamp != self.change.stamp));
            });
        }
        greatest.map_or(Ok(()), |stamp| self.change.exceed_until(&stamp, self.latest))
    }

    fn declared(&self, field: &str) -> Option<&FieldType> {
        self.collection.fields_at(&self.path)?.get(field)
    }

    /// Checks the name and the declared type, if there is one.
    fn expect(
        &self,
        field: &Name,
        operation: &'static str,
        fits: fn(&FieldType) -> bool,
    ) -> Result<(), EditError> {
        LimitExceeded::check("bytes of a field name", field.len(), self.limits.name_bytes)?;
        match self.declared(field) {
            Some(declared) if !fits(declared) => {
                Err(EditError::WrongType { field: field.clone(), declared: declared.name(), operation })
            }
            _ => Ok(()),
        }
    }

    fn check_value(&self, value: &Value) -> Result<(), EditError> {
        LimitExceeded::check("nesting of a value", value.depth(), self.limits.depth)?;
        LimitExceeded::check("values within a value", value.count(), self.limits.values)?;
        Ok(LimitExceeded::check("bytes of a value", codec::value_len(value), self.limits.value_bytes)?)
    }
}

impl<'a> MapView<'a> {
    /// The map that a path leads to, whether shown or hidden.
    fn raw(document: &'a Document, path: &[Name]) -> Option<&'a Map> {
        document.root.descend(path)
    }
}

/// Sets the own presence mark of a container, also when it is live already; once per transaction.
fn touch(presence: &mut Flag, change: Change) {
    let own = presence.cells.get(&change.replica());
    if !own.is_some_and(|mark| mark.is_live() && mark.set_by().dot() == change.dot()) {
        presence.enable(change);
    }
}
