//! What goes into a statement and what comes out of a row, the same for both engines.

use std::error::Error as StdError;

use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::Error;

/// An argument of a statement, or a cell of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL, of any type.
    Null,
    /// BOOLEAN; 0 or 1 on SQLite.
    Bool(bool),
    /// BIGINT.
    Int(i64),
    /// TEXT, without NUL, which PostgreSQL refuses.
    Text(&'a str),
    /// BLOB; BYTEA on PostgreSQL.
    Blob(&'a [u8]),
    /// UUID; a blob of 16 bytes on SQLite.
    Id(Uuid),
}

/// An argument that outlives the statement's caller.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Plain(Value<'static>),
    Text(String),
    Blob(Vec<u8>),
}

impl Kept {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Plain(value) => *value,
            Self::Text(text) => text.into(),
            Self::Blob(bytes) => bytes.into(),
        }
    }
}

impl Kept {
    /// How many bytes it has beside itself.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
        }
    }
}

impl From<Value<'_>> for Kept {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Plain(Value::Null),
            Value::Bool(value) => Self::Plain(value.into()),
            Value::Int(value) => Self::Plain(value.into()),
            Value::Id(value) => Self::Plain(value.into()),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Self::Id(value)
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Integer(i64::from(*value)),
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
            Self::Id(value) => ValueRef::Blob(value.as_bytes()),
        }))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) => value.to_sql_checked(wanted, out),
            Self::Int(value) if *wanted == Type::INT4 => i32::try_from(*value)?.to_sql_checked(wanted, out),
            Self::Int(value) => value.to_sql_checked(wanted, out),
            Self::Text(value) => value.to_sql_checked(wanted, out),
            Self::Blob(value) => value.to_sql_checked(wanted, out),
            Self::Id(value) => value.to_sql_checked(wanted, out),
        }
    }

    // The type is known only together with the value, so it is checked there.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// One row of an answer; columns are numbered from 0.
#[derive(Debug)]
pub struct Row<'a>(pub(crate) Source<'a>);

/// The engine's own row.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of a column, which must be of this type; NULL only fits an `Option`.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, Error> {
        T::from_value(self.value(index)?).ok_or_else(|| {
            Error::Internal(format!("column {index} cannot be read as {}", std::any::type_name::<T>()))
        })
    }

    /// The value of a column, as the engine has it.
    pub(crate) fn value(&self, index: usize) -> Result<Value<'_>, Error> {
        match &self.0 {
            Source::Sqlite(row) => sqlite_cell(row, index),
            Source::Postgres(row) => postgres_cell(row, index),
        }
    }
}

fn sqlite_cell<'a>(row: &'a rusqlite::Row<'_>, index: usize) -> Result<Value<'a>, Error> {
    let wrong = |cause: String| Error::Internal(format!("column {index}: {cause}"));
    match row.get_ref(index).map_err(|error| wrong(error.to_string()))? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map(Value::Text).map_err(|error| wrong(error.to_string()))
        }
        ValueRef::Blob(bytes) => Ok(Value::Blob(bytes)),
        ValueRef::Real(_) => Err(wrong("a floating-point number has no place in the dialect".to_owned())),
    }
}

fn postgres_cell(row: &tokio_postgres::Row, index: usize) -> Result<Value<'_>, Error> {
    let Some(column) = row.columns().get(index) else {
        return Err(Error::Internal(format!("column {index}: there are only {}", row.len())));
    };
    let cell = match *column.type_() {
        Type::BOOL => row.try_get::<_, Option<bool>>(index).map(Value::from),
        Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Value::from),
        Type::INT4 => row.try_get::<_, Option<i32>>(index).map(|value| value.map(i64::from).into()),
        Type::INT2 => row.try_get::<_, Option<i16>>(index).map(|value| value.map(i64::from).into()),
        Type::UUID => row.try_get::<_, Option<Uuid>>(index).map(Value::from),
        Type::BYTEA => row.try_get::<_, Option<&[u8]>>(index).map(Value::from),
        // Whatever is no text either is refused here, with its name.
        _ => row.try_get::<_, Option<&str>>(index).map(Value::from),
    };
    cell.map_err(|error| Error::Internal(format!("column {index} of type {}: {error}", column.type_())))
}

/// A type that a column can be read as.
pub trait Column: Sized {
    /// The value as this type, or nothing if it is of another.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl Column for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(value),
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl Column for i64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Int(value) = value { Some(value) } else { None }
    }
}

impl Column for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(value) = value { Some(value.to_owned()) } else { None }
    }
}

impl Column for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Blob(value) = value { Some(value.to_vec()) } else { None }
    }
}

impl Column for Uuid {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Id(value) => Some(value),
            Value::Blob(bytes) => Self::from_slice(bytes).ok(),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
