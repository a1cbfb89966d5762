//! What the made-up business sells, and to whom.

use super::dice::Dice;

const CATEGORIES: [(&str, &str, i64, [&str; 10]); 10] = [
    (
        "Lighting",
        "LIG",
        1900,
        [
            "desk lamp",
            "floor lamp",
            "pendant light",
            "wall light",
            "reading lamp",
            "night light",
            "lantern",
            "string of lights",
            "spotlight",
            "lampshade",
        ],
    ),
    (
        "Kitchen",
        "KIT",
        900,
        [
            "chopping board",
            "saucepan",
            "frying pan",
            "kettle",
            "colander",
            "mixing bowl",
            "whisk",
            "ladle",
            "storage jar",
            "tea towel",
        ],
    ),
    (
        "Tableware",
        "TAB",
        600,
        [
            "dinner plate",
            "soup bowl",
            "mug",
            "water glass",
            "carafe",
            "serving dish",
            "egg cup",
            "salad bowl",
            "teapot",
            "butter dish",
        ],
    ),
    (
        "Furniture",
        "FUR",
        8900,
        [
            "stool",
            "side table",
            "shelf",
            "bench",
            "coat stand",
            "chair",
            "bookcase",
            "desk",
            "chest of drawers",
            "shoe rack",
        ],
    ),
    (
        "Textiles",
        "TEX",
        1400,
        [
            "cushion",
            "blanket",
            "bath towel",
            "bed sheet",
            "pillow case",
            "rug",
            "curtain",
            "table cloth",
            "napkin",
            "door mat",
        ],
    ),
    (
        "Garden",
        "GAR",
        1200,
        [
            "watering can",
            "trowel",
            "flower pot",
            "hose",
            "rake",
            "secateurs",
            "planter",
            "bird house",
            "garden gloves",
            "seed tray",
        ],
    ),
    (
        "Tools",
        "TOO",
        1700,
        [
            "hammer",
            "screwdriver",
            "spirit level",
            "hand saw",
            "pliers",
            "tape measure",
            "spanner",
            "chisel",
            "file",
            "tool box",
        ],
    ),
    (
        "Stationery",
        "STA",
        400,
        [
            "notebook",
            "pencil case",
            "fountain pen",
            "ruler",
            "stapler",
            "letter tray",
            "desk pad",
            "calendar",
            "ring binder",
            "scissors",
        ],
    ),
    (
        "Bath",
        "BAT",
        800,
        [
            "soap dish",
            "tumbler",
            "bath mat",
            "toothbrush holder",
            "mirror",
            "towel rail",
            "laundry basket",
            "shower caddy",
            "hook",
            "bin",
        ],
    ),
    (
        "Toys",
        "TOY",
        1500,
        [
            "building blocks",
            "puzzle",
            "kite",
            "spinning top",
            "toy train",
            "skipping rope",
            "board game",
            "rag doll",
            "marbles",
            "play tent",
        ],
    ),
];

const VARIANTS: [(&str, i64); 5] =
    [("Plain", 100), ("Oak", 165), ("Blue", 110), ("Large", 150), ("Travel", 85)];

const FIRST: [&str; 20] = [
    "Ada", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leo", "Mila",
    "Nils", "Olga", "Paul", "Rosa", "Simon", "Tilda", "Vera",
];

const LAST: [&str; 10] =
    ["Abbott", "Brandt", "Castro", "Dupont", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanova", "Jansen"];

pub(super) const PRODUCTS: usize = CATEGORIES.len() * 10 * VARIANTS.len();
pub(super) const CUSTOMERS: usize = FIRST.len() * LAST.len();

/// A product to be made.
pub(super) struct Goods {
    pub(super) category: &'static str,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) barcode: String,
    pub(super) price_minor: i64,
    pub(super) cost_minor: i64,
    pub(super) reorder_point: i64,
    pub(super) reorder_quantity: i64,
}

pub(super) fn categories() -> impl Iterator<Item = &'static str> {
    CATEGORIES.iter().map(|(name, ..)| *name)
}

/// All products; what differs from one seed to the next are prices and quantities.
pub(super) fn all(dice: &mut Dice) -> Vec<Goods> {
    let mut goods = Vec::with_capacity(PRODUCTS);
    for (category, short, price, nouns) in &CATEGORIES {
        for (index, noun) in nouns.iter().enumerate() {
            for (variant, percent) in VARIANTS {
                let price_minor = price * dice.between(60, 180) / 100 * percent / 100 / 50 * 50 + 49;
                let reorder_point = dice.between(4, 15);
                goods.push(Goods {
                    category,
                    sku: format!("{short}-{:02}{}", index + 1, &variant[..1]),
                    name: format!("{variant} {noun}"),
                    barcode: ean_13(goods.len()),
                    price_minor,
                    cost_minor: price_minor * dice.between(40, 65) / 100,
                    reorder_point,
                    reorder_quantity: dice.between(2, 5) * 10,
                });
            }
        }
    }
    goods
}

/// A code of the range 20 to 29, which GS1 leaves to each shop for itself, with its check digit.
fn ean_13(number: usize) -> String {
    let digits = format!("2042{:08}", 10_000_000 + number * 7);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(place, digit)| u32::from(digit - b'0') * if place % 2 == 0 { 1 } else { 3 })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

/// A customer's full name.
pub(super) fn person(number: usize) -> (&'static str, &'static str) {
    (FIRST[number % FIRST.len()], LAST[number / FIRST.len() % LAST.len()])
}

/// And address.
pub(super) fn email(number: usize) -> String {
    let (first, last) = person(number);
    format!("{first}.{last}@example.com").to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_product_and_customer_is_one_of_its_kind() {
        let goods = all(&mut Dice::new(1));
        assert_eq!((goods.len(), CUSTOMERS), (500, 200));
        let count = |texts: BTreeSet<String>| texts.len();
        assert_eq!(count(goods.iter().map(|goods| goods.sku.clone()).collect()), 500);
        assert_eq!(count(goods.iter().map(|goods| goods.barcode.clone()).collect()), 500);
        assert_eq!(count((0..CUSTOMERS).map(email).collect()), 200);
        assert!(goods.iter().all(|goods| goods.price_minor > goods.cost_minor && goods.cost_minor > 0));
    }

    #[test]
    fn a_barcode_has_its_check_digit() {
        for goods in all(&mut Dice::new(1)) {
            let digits: Vec<u32> = goods.barcode.bytes().map(|digit| u32::from(digit - b'0')).collect();
            let sum: u32 = digits.iter().enumerate().map(|(place, digit)| digit * [1, 3][place % 2]).sum();
            assert_eq!((digits.len(), sum % 10), (13, 0), "{}", goods.barcode);
        }
    }
}
