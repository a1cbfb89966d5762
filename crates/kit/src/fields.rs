//! Reading an object field by field into types that can only be valid, collecting every fault on the way.

use std::borrow::Cow;
use std::str::FromStr;

use crate::identity::Role;
use crate::json::Json;
use crate::money::Currency;
use crate::problem::Fault;

/// Why a text is no valid value: a stable word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

impl Invalid {
    /// The general fault, for when no word is more telling.
    pub fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: "invalid_value", message: message.into() }
    }

    /// This as the fault of a field.
    pub fn at(self, field: &str) -> Fault {
        Fault { field: field.to_owned(), code: self.code.into(), message: self.message }
    }

    fn kind(expected: &str, json: &Json<'_>) -> Self {
        Self { code: "invalid_type", message: format!("must be {expected}, not {}", json.kind()).into() }
    }
}

/// What a reader must know besides the JSON.
#[derive(Clone, Copy, Debug)]
pub struct ReadContext {
    /// The currency of an amount that names none.
    pub currency: Currency,
    /// The caller's role: to somebody who may not set a field, it is an unknown one.
    pub role: Role,
}

impl Default for ReadContext {
    fn default() -> Self {
        Self { currency: Currency::default(), role: Role::Customer }
    }
}

/// The faults found so far, and the place where the reader stands.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    path: Vec<Step>,
    /// What the reader must know besides the JSON.
    pub context: ReadContext,
}

/// One step down from the body: only a fault makes a text of it.
#[derive(Debug)]
enum Step {
    Field(&'static str),
    Item(usize),
}

/// More faults than this say nothing more to a person.
const MAX_FAULTS: usize = 100;

impl Faults {
    /// Nothing found yet.
    pub fn new(context: ReadContext) -> Self {
        Self { context, ..Self::default() }
    }

    /// Records a fault at the present place. Always `None`, so that a reader can return it.
    pub fn add<T>(&mut self, invalid: Invalid) -> Option<T> {
        self.add_at(self.path(), invalid)
    }

    fn add_at<T>(&mut self, field: String, invalid: Invalid) -> Option<T> {
        if self.list.len() < MAX_FAULTS {
            self.list.push(Fault { field, code: invalid.code.into(), message: invalid.message });
        }
        None
    }

    /// The value, or `None` with its fault recorded.
    pub fn keep<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_or_else(|invalid| self.add(invalid), Some)
    }

    /// Adds faults that were found elsewhere. Always `None`, so that a reader can return it.
    pub fn add_all<T>(&mut self, faults: Vec<Fault>) -> Option<T> {
        self.list.extend(faults);
        None
    }

    /// All that was found.
    pub fn into_list(self) -> Vec<Fault> {
        self.list
    }

    fn inside<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = read(self);
        self.path.pop();
        value
    }

    /// The present place: `lines[2].quantity`.
    fn path(&self) -> String {
        self.path.iter().fold(String::new(), |path, step| match step {
            Step::Field(name) => joined(path, name),
            Step::Item(index) => format!("{path}[{index}]"),
        })
    }
}

fn joined(mut path: String, name: &str) -> String {
    if !path.is_empty() {
        path.push('.');
    }
    path.extend(name.chars().take(64));
    path
}

/// A type that can be read from a JSON value.
pub trait FromJson: Sized {
    /// The value, or `None` with its faults recorded.
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self>;
}

/// A type that can be read from an object's fields.
pub trait FromFields: Sized {
    /// Whether an empty body stands for `{}`, as on a step.
    const EMPTY_BODY: bool = false;

    /// The value, or `None` with its faults recorded.
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self>;
}

/// An object being read. Fields that nobody asked for are faults.
pub struct Fields<'a, 'j> {
    members: &'a [(Cow<'j, str>, Json<'j>)],
    asked: Vec<&'static str>,
    /// Where faults go.
    pub faults: &'a mut Faults,
}

impl<'a, 'j> Fields<'a, 'j> {
    /// What the reader must know besides the JSON.
    pub fn context(&self) -> ReadContext {
        self.faults.context
    }

    /// Whether the object has this field, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    /// A field that must be there.
    pub fn required<T: FromJson>(&mut self, name: &'static str) -> Option<T> {
        self.required_with(name, T::from_json)
    }

    /// A field that must be there, read by `read`.
    pub fn required_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Json<'_>, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        match self.take(name) {
            Some(json) => self.faults.inside(Step::Field(name), |faults| read(json, faults)),
            None => self.fault(name, Invalid { code: "required", message: "is required".into() }),
        }
    }

    /// A field that may be left out or `null`.
    pub fn optional<T: FromJson>(&mut self, name: &'static str) -> Option<Option<T>> {
        match self.take(name) {
            None | Some(Json::Null) => Some(None),
            Some(json) => self.read(name, json).map(Some),
        }
    }

    /// A field of a change: left out means unchanged, `null` is a fault.
    pub fn change<T: FromJson>(&mut self, name: &'static str) -> Option<Option<T>> {
        self.change_with(name, T::from_json)
    }

    /// As [`Fields::change`], read by `read`.
    pub fn change_with<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Json<'_>, &mut Faults) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.take(name) {
            None => Some(None),
            Some(json) => self.faults.inside(Step::Field(name), |faults| read(json, faults)).map(Some),
        }
    }

    /// A field of a change: left out means unchanged, `null` clears it.
    pub fn clearable<T: FromJson>(&mut self, name: &'static str) -> Option<Option<Option<T>>> {
        match self.take(name) {
            None => Some(None),
            Some(Json::Null) => Some(Some(None)),
            Some(json) => self.read(name, json).map(|value| Some(Some(value))),
        }
    }

    /// Records a fault of one field.
    pub fn fault<T>(&mut self, name: &str, invalid: Invalid) -> Option<T> {
        let field = joined(self.faults.path(), name);
        self.faults.add_at(field, invalid)
    }

    fn read<T: FromJson>(&mut self, name: &'static str, json: &Json<'_>) -> Option<T> {
        self.faults.inside(Step::Field(name), |faults| T::from_json(json, faults))
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Json<'j>> {
        self.asked.push(name);
        self.members.iter().find(|(member, _)| member == name).map(|(_, json)| json)
    }

    fn refuse_unknown(&mut self) {
        for (name, _) in self.members {
            if !self.asked.contains(&&**name) {
                self.fault::<()>(
                    name,
                    Invalid { code: "unknown_field", message: "is not a field of this".into() },
                );
            }
        }
    }
}

/// Reads an object, and refuses what nobody asked for.
pub fn read_object<T: FromFields>(json: &Json<'_>, faults: &mut Faults) -> Option<T> {
    let Json::Object(members) = json else { return faults.add(Invalid::kind("an object", json)) };
    let mut fields = Fields { members, asked: Vec::with_capacity(8), faults };
    let value = T::from_fields(&mut fields);
    fields.refuse_unknown();
    value
}

/// Reads a list of `1..=max` items by `read`.
pub fn read_list<T>(
    json: &Json<'_>,
    max: usize,
    faults: &mut Faults,
    read: impl Fn(&Json<'_>, &mut Faults) -> Option<T>,
) -> Option<Vec<T>> {
    let Json::Array(items) = json else { return faults.add(Invalid::kind("a list", json)) };
    if items.is_empty() || items.len() > max {
        return faults
            .add(Invalid { code: "invalid_length", message: format!("must have 1 to {max} items").into() });
    }
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        // The others are read too, so that their faults show.
        values.extend(faults.inside(Step::Item(index), |faults| read(item, faults)));
    }
    (values.len() == items.len()).then_some(values)
}

/// Reads a string into a type that parses itself.
pub fn read_text<T: FromStr<Err = Invalid>>(json: &Json<'_>, faults: &mut Faults) -> Option<T> {
    match json {
        Json::String(text) => faults.keep(text.parse()),
        other => faults.add(Invalid::kind("a string", other)),
    }
}

impl FromJson for bool {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        match json {
            Json::Bool(value) => Some(*value),
            other => faults.add(Invalid::kind("true or false", other)),
        }
    }
}

impl FromJson for uuid::Uuid {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let text: crate::text::Text<36> = read_text(json, faults)?;
        faults.keep(text.as_str().parse().map_err(|_| Invalid::value("must be an id (UUID)")))
    }
}
