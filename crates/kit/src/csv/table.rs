//! A file's rows and cells, read whole before anything is done with them.

use std::borrow::Cow;
use std::io::Read as _;

use ::csv::{ReaderBuilder, StringRecord};
use bytes::Bytes;

use super::cell::unshield;
use super::decode::{Charset, decode, malformed};
use super::faults::{RowFaults, place};
use super::strict::{Breach, find_breach};
use crate::fields::Invalid;
use crate::json::Json;
use crate::problem::{Fault, Problem};

/// What cells may be parted by.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Stands behind every file as a row of its own, unless a quote is open at the end. No file has it inside.
const END: &str = "\0";

/// A column that a file may have.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, which is that of the field.
    pub name: &'static str,
    /// What its cells are read as.
    pub kind: Kind,
    /// Whether an empty cell clears the field; else it says nothing of it.
    pub clears: bool,
}

/// What a cell is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// An amount in major units.
    Amount,
    /// `true` or `false`, in any case.
    Flag,
    /// An object.
    Object,
}

/// A file's rows below its header. Their cells stand behind one another in one text, since there may be millions.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    has_decimal_comma: bool,
    cells: String,
    /// Where each cell ends.
    ends: Vec<u32>,
    /// Each row's number, as a spreadsheet counts.
    numbers: Vec<u32>,
}

impl Table {
    /// Reads a file that has some of these columns, the first of them at least. Faults of its header are told at once (422); rows that are too short or
    /// too long are noted in `faults`, and left out.
    pub fn read(
        bytes: &Bytes,
        charset: Option<Charset>,
        known: &[Column],
        max_rows: usize,
        faults: &mut RowFaults,
    ) -> Result<Self, Problem> {
        let text = decode(bytes, charset)?;
        let (separator, text) = separator(&text, known);
        let source = text.as_bytes().chain(&b"\n"[..]).chain(END.as_bytes());
        let mut reader =
            ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(source);
        let (mut lines, mut record) = (LineCount::default(), StringRecord::new());
        if !lines.next(&mut reader, &mut record)? {
            return Err(malformed("The file is empty: its first row must name the columns."));
        }
        check_rules(text, separator, &record)?;
        let columns = read_header(&record, known)?;
        let (ends, numbers) = (Vec::new(), Vec::new());
        let has_decimal_comma = separator == b';';
        let mut table = Self { columns, has_decimal_comma, cells: String::new(), ends, numbers };
        while lines.next(&mut reader, &mut record)? {
            if record.iter().all(str::is_empty) {
                continue;
            }
            if table.numbers.len() == max_rows {
                let detail = format!("The file has more than {max_rows} rows: part it.");
                return Err(Problem::new(http::StatusCode::UNPROCESSABLE_ENTITY, "too_many_rows", detail));
            }
            table.push(lines.row, &record, faults);
        }
        Ok(table)
    }

    fn push(&mut self, number: u32, record: &StringRecord, faults: &mut RowFaults) {
        let (cells, columns) = (record.len(), self.columns.len());
        let is_too_long = record.iter().skip(columns).any(|cell| !cell.is_empty());
        if cells < columns || is_too_long {
            let message = format!("has {cells} cells, the header has {columns}");
            let invalid = Invalid { code: "wrong_cells", message: message.into() };
            faults.push(number, invalid.at(&format!("row {number}")));
            return;
        }
        for cell in record.iter().take(columns) {
            self.cells.push_str(cell);
            // A file is far smaller than 4 GiB.
            self.ends.push(u32::try_from(self.cells.len()).unwrap_or(u32::MAX));
        }
        self.numbers.push(number);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What a spreadsheet calls a row.
    pub fn number(&self, row: usize) -> u32 {
        self.numbers[row]
    }

    /// The text of a row's column; nothing if it is empty, or the file has no such column.
    pub fn text(&self, row: usize, name: &str) -> Option<&str> {
        let column = self.columns.iter().position(|column| column.name == name)?;
        Some(unshield(self.cell(row, column))).filter(|text| !text.is_empty())
    }

    /// A row as the object that says the same, and the faults of cells that stand for nothing.
    pub fn object(&self, row: usize) -> (Json<'_>, Vec<Fault>) {
        let (mut members, mut faults) = (Vec::with_capacity(self.columns.len()), Vec::new());
        for (index, column) in self.columns.iter().enumerate() {
            match self.value(self.cell(row, index), *column) {
                Ok(Some(value)) => members.push((Cow::Borrowed(column.name), value)),
                Ok(None) => {}
                Err(invalid) => faults.push(invalid.at(column.name)),
            }
        }
        (Json::Object(members), faults)
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.columns.len() + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.cells[start as usize..self.ends[index] as usize]
    }

    fn value<'a>(&self, cell: &'a str, column: Column) -> Result<Option<Json<'a>>, Invalid> {
        if cell.is_empty() {
            return Ok(column.clears.then_some(Json::Null));
        }
        Ok(Some(match column.kind {
            Kind::Text => Json::String(unshield(cell).into()),
            Kind::Number => number(cell),
            Kind::Amount if self.has_decimal_comma && !cell.contains('.') => {
                Json::String(cell.trim().replacen(',', ".", 1).into())
            }
            Kind::Amount => Json::String(cell.trim().into()),
            Kind::Flag => match cell.trim() {
                yes if yes.eq_ignore_ascii_case("true") => Json::Bool(true),
                no if no.eq_ignore_ascii_case("false") => Json::Bool(false),
                other => Json::String(other.into()),
            },
            Kind::Object => Json::parse(cell.as_bytes())
                .map_err(|malformed| Invalid { code: "malformed_json", message: malformed.0.into() })?,
        }))
    }
}

/// 400 at the first place that breaks the rules of CSV, which the reader would pass over.
fn check_rules(text: &str, separator: u8, header: &StringRecord) -> Result<(), Problem> {
    let Some(Breach { row, column, what }) = find_breach(text, separator) else { return Ok(()) };
    let number = (column + 1).to_string();
    let name = header.get(column).filter(|name| !name.trim().is_empty()).unwrap_or(&number);
    Err(malformed(format!("In {}, {what}.", place(row, name))))
}

/// A number, or else the text that stands in its place, which its type refuses.
fn number(cell: &str) -> Json<'_> {
    match Json::parse(cell.trim().as_bytes()) {
        Ok(Json::Number(digits)) => Json::Number(digits),
        _ => Json::String(cell.into()),
    }
}

/// Counts rows as a spreadsheet does, empty lines too, which the reader passes over.
#[derive(Default)]
struct LineCount {
    /// The number of the row that was read last.
    row: u32,
    /// The line where the next one begins, or an empty one before it.
    line: u64,
}

impl LineCount {
    /// Reads the next row; false behind the last, where the record is empty.
    fn next<R: std::io::Read>(
        &mut self,
        reader: &mut ::csv::Reader<R>,
        record: &mut StringRecord,
    ) -> Result<bool, Problem> {
        // What is read is text in memory, so nothing can fail.
        reader.read_record(record).map_err(Problem::internal)?;
        let inside: usize = record.iter().map(|cell| cell.matches('\n').count()).sum();
        let line = reader.position().line();
        let passed = line.saturating_sub(self.line.max(1)).saturating_sub(inside as u64);
        self.line = line;
        self.row += u32::try_from(passed).unwrap_or(u32::MAX).max(1);
        let last = record.iter().next_back().unwrap_or_default();
        if last != END && last.ends_with(END) {
            return Err(malformed(format!("A quote that opens in row {} is never closed.", self.row)));
        }
        let is_row = last != END;
        if !is_row {
            record.clear();
        }
        Ok(is_row)
    }
}

/// Far more than any table has.
const MOST_COLUMNS: usize = 1000;

/// What parts the cells, and the text behind a first line `sep=;` that only says so. Else it is what parts the header into most names that are known.
fn separator<'a>(text: &'a str, known: &[Column]) -> (u8, &'a str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = first.trim_end_matches('\r');
    if let Some(&[told]) = first.strip_prefix("sep=").map(str::as_bytes)
        && SEPARATORS.contains(&told)
    {
        return (told, rest);
    }
    let count = |separator: u8| {
        let names = first
            .split(char::from(separator))
            .take(MOST_COLUMNS)
            .filter(|name| find(name.trim_matches('"'), known).is_some());
        names.count()
    };
    let mut best = SEPARATORS[0];
    for separator in SEPARATORS {
        if count(separator) > count(best) {
            best = separator;
        }
    }
    (best, text)
}

fn find(name: &str, known: &[Column]) -> Option<Column> {
    known.iter().find(|column| column.name.eq_ignore_ascii_case(name.trim())).copied()
}

/// The columns that a header names: each known, none twice, the first that is known among them.
fn read_header(record: &StringRecord, known: &[Column]) -> Result<Vec<Column>, Problem> {
    let mut faults = RowFaults::new(100);
    let mut columns: Vec<Column> = Vec::new();
    // A spreadsheet may leave empty columns behind the last.
    let width =
        record.iter().enumerate().filter(|(_, name)| !name.is_empty()).last().map_or(0, |(last, _)| last + 1);
    if width > MOST_COLUMNS {
        return Err(malformed(format!("The header has {width} names: is it a table of this kind?")));
    }
    for name in record.iter().take(width) {
        match find(name, known) {
            Some(column) if columns.iter().any(|other| other.name == column.name) => {
                faults.add(1, name, Invalid::value("stands twice"));
            }
            Some(column) => columns.push(column),
            None => faults.add(
                1,
                name,
                Invalid { code: "unknown_field", message: "is not a column of this".into() },
            ),
        }
    }
    let needed = known[0].name;
    if !columns.iter().any(|column| column.name == needed) {
        faults.add(1, needed, Invalid { code: "required", message: "is required".into() });
    }
    faults.check()?;
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Column] = &[
        Column { name: "sku", kind: Kind::Text, clears: false },
        Column { name: "price", kind: Kind::Amount, clears: true },
        Column { name: "count", kind: Kind::Number, clears: false },
        Column { name: "active", kind: Kind::Flag, clears: false },
        Column { name: "more", kind: Kind::Object, clears: true },
    ];

    fn read(text: &str) -> Result<(Table, Vec<String>), Problem> {
        let mut faults = RowFaults::new(10);
        let table = Table::read(&Bytes::from(text.to_owned()), None, KNOWN, 4, &mut faults)?;
        let told = faults.check().err().map_or(Vec::new(), |problem| problem.errors().to_vec());
        Ok((table, told.into_iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()))
    }

    fn objects(text: &str) -> Vec<String> {
        let (table, faults) = read(text).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        (0..table.len()).map(|row| table.object(row).0.to_string()).collect()
    }

    #[test]
    fn separators_quotes_and_line_ends_are_those_of_spreadsheets() {
        let expected =
            [r#"{"sku":"a,b","price":"1.50","count":2}"#, r#"{"sku":"c;\r\n\"d","price":null,"count":3}"#];
        for text in [
            "sku,price,count\r\n\"a,b\",1.50,2\r\n\"c;\r\n\"\"d\",,3\r\n",
            "Sku , PRICE,count\n\"a,b\",1.50,2\n\"c;\r\n\"\"d\",,3",
            "sku;price;count\r\na,b;1,50;2\r\n\"c;\r\n\"\"d\";;3\r\n",
            "\"sku\";\"price\";\"count\";;\r\n\"a,b\";1.50;2;;\r\n\"c;\r\n\"\"d\";;3;;\r\n;;;;\r\n",
            "sku\tprice\tcount\na,b\t1.50\t2\n\"c;\r\n\"\"d\"\t\t3\n\n\n",
            "sep=;\r\nsku;price;count\r\na,b;1.50;2\r\n\"c;\r\n\"\"d\";;3\r\n",
        ] {
            assert_eq!(objects(text), expected, "{text}");
        }
        assert_eq!(objects("sku\na\n"), [r#"{"sku":"a"}"#]);
        assert!(objects("sku").is_empty() && objects("sku,price\n").is_empty());
    }

    #[test]
    fn cells_are_read_as_what_their_column_is() {
        let text = "sku,price,count,active,more\n'=1,1e5,007,TRUE,\"{\"\"a\"\": 1.0}\"\n'x,-1,-5,ja,{}\n";
        assert_eq!(
            objects(text),
            [
                r#"{"sku":"=1","price":"1e5","count":"007","active":true,"more":{"a":1.0}}"#,
                r#"{"sku":"'x","price":"-1","count":-5,"active":"ja","more":{}}"#,
            ]
        );
        let (table, _) = read("sku,more\na,{\n").unwrap();
        let fault = &table.object(0).1[0];
        let told = (&*fault.code, &*fault.message);
        assert_eq!(told, ("malformed_json", "is not valid JSON: see line 1, column 1"));
        assert_eq!(
            objects("sku;price\na;1.234,50\nb;1,234\nc;1,2,3\n"),
            [
                r#"{"sku":"a","price":"1.234,50"}"#,
                r#"{"sku":"b","price":"1.234"}"#,
                r#"{"sku":"c","price":"1.2,3"}"#,
            ]
        );
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_numbers_them() {
        let (table, faults) = read("sku,price\n\"a\n\nb\",1\n\n,\nc\n\nd,2,3\ne,4,\n").unwrap();
        assert_eq!((table.number(0), table.text(0, "sku")), (2, Some("a\n\nb")));
        assert_eq!((table.number(1), table.text(1, "price")), (8, Some("4")));
        assert_eq!(faults, ["row 5: has 1 cells, the header has 2", "row 7: has 3 cells, the header has 2"]);
    }

    #[test]
    fn a_wrong_header_and_an_open_quote_are_refused() {
        let told = |text: &str| {
            let problem = read(text).unwrap_err();
            let errors: Vec<String> = problem.errors().iter().map(|fault| fault.field.clone()).collect();
            format!("{} {}", problem.code(), errors.join("; "))
        };
        assert_eq!(
            told("sku,prize,SKU,id\n"),
            "validation_failed row 1, column prize; row 1, column SKU; row 1, column id"
        );
        assert_eq!(told("price\n1\n"), "validation_failed row 1, column sku");
        assert_eq!(told("sku,cost\n"), "unknown_field row 1, column cost");
        assert_eq!([told(""), told("\r\n\n")], ["malformed_csv ", "malformed_csv "]);
        let detail = |text: &str| read(text).unwrap_err().detail().to_owned();
        assert!(detail("").starts_with("The file is empty"));
        assert_eq!(
            detail("sku,price\na,1\n\n\"b\"x,2\n"),
            "In row 4, column sku, text stands behind the closing quote."
        );
        assert_eq!(detail("sku\ra\r"), "In row 1, column sku, a CR stands alone, without its LF.");
        assert_eq!(detail("sku\na,\"\" "), "In row 2, column 2, text stands behind the closing quote.");
        assert_eq!(told("sku,price\na,1\n\"b,2\nc,3\n"), "malformed_csv ");
        assert_eq!(told("\"sku"), "malformed_csv ");
        assert_eq!(told(&format!("sku{}\n", ",x".repeat(1000))), "malformed_csv ");
        assert_eq!(told("sku\na\nb\nc\nd\ne\n"), "too_many_rows ");
    }
}
