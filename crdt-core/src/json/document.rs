//! Maps and documents: the JSON of the types they are made of, by name and by kind.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::unique::Unique;
use crate::document::{Document, Field, Map, Payload};
use crate::limits::Limits;
use crate::{Flag, LwwRegister, MvRegister, Name, OrSet, PNCounter, Value};

/// `"absent"`, or `{"present": value}`.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum PayloadJson<V> {
    Absent,
    Present(V),
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().map_or(PayloadJson::Absent, PayloadJson::Present).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match PayloadJson::<Value>::deserialize(deserializer)? {
            PayloadJson::Absent => Self::Absent,
            PayloadJson::Present(value) => Self::Present(value),
        })
    }
}

/// The kinds that were written, each in its own JSON.
#[derive(Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FieldJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<LwwRegister<Payload>>,
    #[serde(skip_serializing_if = "MvRegister::is_empty")]
    siblings: MvRegister<Payload>,
    #[serde(skip_serializing_if = "OrSet::is_empty")]
    elements: OrSet<Value>,
    #[serde(skip_serializing_if = "Flag::is_empty")]
    flag: Flag,
    #[serde(skip_serializing_if = "PNCounter::is_empty")]
    counter: PNCounter,
    #[serde(skip_serializing_if = "Map::is_empty")]
    map: Map,
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut copy = self.clone();
        let register = copy.register.cell.is_some().then(|| core::mem::take(&mut copy.register));
        let more = core::mem::take(copy.others_mut());
        let json = FieldJson {
            register,
            siblings: more.siblings,
            elements: more.elements,
            flag: more.flag,
            counter: more.counter,
            map: more.map,
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = FieldJson::deserialize(deserializer)?;
        let mut field = Self::default();
        field.register = json.register.unwrap_or_default();
        let more = field.others_mut();
        (more.siblings, more.elements, more.flag) = (json.siblings, json.elements, json.flag);
        (more.counter, more.map) = (json.counter, json.map);
        if field.is_empty() { Err(D::Error::custom("a field that was never written")) } else { Ok(field) }
    }
}

#[derive(serde::Serialize)]
struct ContainerRef<'m> {
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<&'m Flag>,
    presence: &'m Flag,
    fields: BTreeMap<&'m str, &'m Field>,
}

impl<'m> ContainerRef<'m> {
    fn new(map: &'m Map, deletion: Option<&'m Flag>) -> Self {
        let fields = map.fields().map(|(name, field)| (&**name, field)).collect();
        Self { deletion, presence: &map.presence, fields }
    }
}

/// A map; with deletion marks, a document.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerJson {
    #[serde(default)]
    deletion: Option<Flag>,
    presence: Flag,
    fields: Unique<String, Field>,
}

impl ContainerJson {
    fn into_map<E: Error>(self) -> Result<(Map, Option<Flag>), E> {
        let mut map = Map::new();
        map.presence = self.presence;
        for (name, field) in self.fields.0 {
            *map.field_mut(&Name::from(name)) = field;
        }
        // One for the map or document itself, which is not nested in anything.
        if map.depth() > Limits::DEFAULT.depth + 1 {
            return Err(E::custom("maps nest too deep"));
        }
        Ok((map, self.deletion))
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ContainerRef::new(self, None).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match ContainerJson::deserialize(deserializer)?.into_map()? {
            (map, None) => Ok(map),
            (_, Some(_)) => Err(D::Error::custom("deletion marks are a document's, not a map's")),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deletion = (!self.deletion.is_empty()).then_some(&self.deletion);
        ContainerRef::new(&self.root, deletion).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (root, deletion) = ContainerJson::deserialize(deserializer)?.into_map()?;
        Ok(Self { deletion: deletion.unwrap_or_default(), root })
    }
}
