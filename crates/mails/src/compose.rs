//! What a mail says, made when it is sent.

use db::{Error, Tx};
use kit::clock::Timestamp;
use kit::mail::{Address, Letter};
use kit::text::is_visible;

use crate::kind::Kind;
use crate::low_stock::MOST_PRODUCTS;
use crate::store::{self, Claimed, LowProduct};

/// How much of a name a mail shows.
const MOST_OF_NAME: usize = 100;

/// What a mail says.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    subject: String,
    text: String,
}

/// The mail as it is now; none if there is nothing to tell any more, or nobody to tell it to.
pub(crate) async fn compose(tx: &Tx, claimed: &Claimed, now: Timestamp) -> Result<Option<Letter>, Error> {
    let content = match claimed.kind {
        Kind::LowStock => low_stock(&store::list_products(tx, &claimed.subjects).await?),
    };
    let to = claimed.recipient.as_deref().and_then(|recipient| recipient.parse::<Address>().ok());
    Ok(content.zip(to).map(|(content, to)| Letter {
        id: claimed.id,
        to,
        subject: content.subject,
        text: content.text,
        date: now,
    }))
}

fn low_stock(products: &[LowProduct]) -> Option<Content> {
    let first = products.first()?;
    let subject = match products.len() {
        1 => format!("Low stock: {}", one_line(&first.sku)),
        count => format!("Low stock: {count} products"),
    };
    let lines: String = products.iter().map(low_line).collect();
    let more = if products.len() < MOST_PRODUCTS { "" } else { "There may be more than these.\n" };
    let text = format!(
        "These products have fallen to their reorder point:\n\n{lines}\n{more}All that should be bought now: GET /stock/reorder\n"
    );
    Some(Content { subject, text })
}

fn low_line(product: &LowProduct) -> String {
    let mut line =
        format!("{}  {}\n    {} free", one_line(&product.sku), one_line(&product.name), product.free);
    if let Some(point) = product.reorder_point {
        line += &format!(", reorder point {point}");
    }
    if let Some(quantity) = product.reorder_quantity {
        line += &format!(", reorder quantity {quantity}");
    }
    line + "\n"
}

/// A name as one line of plain text: what doesn't show, line breaks and directions of writing among it, is a blank.
fn one_line(name: &str) -> String {
    let visible = name.chars().map(|character| if is_visible(character) { character } else { ' ' });
    let visible: String = visible.take(MOST_OF_NAME).collect();
    visible.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(sku: &str, name: &str) -> LowProduct {
        LowProduct {
            sku: sku.to_owned(),
            name: name.to_owned(),
            free: 4,
            reorder_point: Some(5),
            reorder_quantity: Some(20),
        }
    }

    #[test]
    fn a_mail_about_low_stock_names_the_products() {
        let content = low_stock(&[product("LAMP", "Lamp"), product("PEN", "Pen")]).unwrap();
        assert_eq!(content.subject, "Low stock: 2 products");
        let wanted = "These products have fallen to their reorder point:

LAMP  Lamp
    4 free, reorder point 5, reorder quantity 20
PEN  Pen
    4 free, reorder point 5, reorder quantity 20

All that should be bought now: GET /stock/reorder
";
        assert_eq!(content.text, wanted);
        assert_eq!(low_stock(&[product("LAMP", "Lamp")]).unwrap().subject, "Low stock: LAMP");
        assert_eq!(low_stock(&[]), None);
        let many = vec![product("LAMP", "Lamp"); MOST_PRODUCTS];
        assert!(low_stock(&many).unwrap().text.contains("There may be more"));
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let hostile = product("S\r\nBcc: eve@example.com", "a\n\nb\u{202e}c\u{2028}d\0");
        let content = low_stock(&[hostile]).unwrap();
        assert_eq!(content.subject, "Low stock: S  Bcc: eve@example.com");
        assert!(content.text.contains("S  Bcc: eve@example.com  a  b c d\n    4 free"), "{}", content.text);
        assert_eq!(one_line(&"ä".repeat(300)).chars().count(), MOST_OF_NAME);
    }
}
