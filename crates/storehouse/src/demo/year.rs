//! What happens in the made-up business, and when: one thing leads to others later, until today.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use anyhow::Result;
use kit::clock::Timestamp;
use kit::identity::Role;
use kit::money::Currency;
use serde_json::{Value, json};
use stock::MAIN;
use uuid::Uuid;

use super::dice::Dice;
use super::goods::{self, CUSTOMERS, Goods};
use super::shop::Shop;
use crate::progress::Progress;

const MINUTE: i64 = 60 * 1_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// For so long before today some suppliers deliver nothing.
const SHORTAGE: i64 = 40 * DAY;
/// Of so many products in a hundred.
const SHORT_OF: i64 = 6;

/// Where goods are moved to, how the place is called, and how far behind MAIN it is filled from.
const PLACES: [(&str, &str, i64); 2] = [("SHOP", "Shop in town", 10), ("OUTLET", "Outlet", 20)];

/// Something that is to happen.
#[derive(Clone, Debug)]
enum Event {
    Morning,
    Placed,
    Confirmed { order: usize },
    Cancelled { order: usize },
    Paid { order: usize },
    Shipped { order: usize },
    Delivered { order: usize },
    Returned { order: usize },
    Refunded { order: usize },
    Arrived { product: usize, quantity: i64 },
}

/// What there was of it all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) products: usize,
    pub(crate) customers: usize,
    pub(crate) orders: usize,
    pub(crate) requests: u64,
}

/// A product on sale.
struct OnSale {
    id: String,
    goods: Goods,
    /// About how many there are, as a buyer of the business would guess.
    left: i64,
    is_coming: bool,
    is_short: bool,
}

/// The business, at a moment.
pub(super) struct Year {
    shop: Shop,
    dice: Dice,
    today: Timestamp,
    now: Timestamp,
    /// By moment, and in the order in which they were thought of.
    events: BTreeMap<(Timestamp, u64), Event>,
    thought_of: u64,
    products: Vec<OnSale>,
    customers: Vec<Uuid>,
    /// The path of each order.
    orders: Vec<String>,
}

impl Year {
    /// A business that ends with `today`, and begins where the shop's clock stands.
    pub(super) fn new(shop: Shop, seed: u64, today: Timestamp) -> Self {
        Self {
            dice: Dice::new(seed),
            now: shop.now(),
            shop,
            today,
            events: BTreeMap::new(),
            thought_of: 0,
            products: Vec::new(),
            customers: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// Tells all of it.
    pub(super) async fn tell(mut self, progress: &Progress) -> Result<Counts> {
        let begun = self.now;
        self.found(progress).await?;
        self.events.insert((begun.plus(std::time::Duration::from_secs(7 * 60 * 60)), 0), Event::Morning);
        while let Some(((moment, _), event)) = self.events.pop_first() {
            if moment >= self.today {
                break;
            }
            self.now = moment;
            self.shop.wait_until(moment);
            self.happen(event).await?;
            let (done, of) = (begun.age(moment).as_secs(), begun.age(self.today).as_secs());
            progress.show("telling the days", done, Some(of));
        }
        Ok(Counts {
            products: self.products.len(),
            customers: self.customers.len(),
            orders: self.orders.len(),
            requests: self.shop.requests,
        })
    }

    /// The first day: places, products with their first stock, customers.
    async fn found(&mut self, progress: &Progress) -> Result<()> {
        for name in goods::categories() {
            self.shop.post("/categories", &json!({"name": name})).await?;
        }
        for (code, name, priority) in PLACES {
            let place = json!({"code": code, "name": name, "priority": priority});
            self.shop.post("/locations", &place).await?;
        }
        for goods in goods::all(&mut self.dice) {
            progress.show("adding products", self.products.len() as u64, Some(goods::PRODUCTS as u64));
            self.add_product(goods).await?;
        }
        for number in 0..CUSTOMERS {
            let (first, last) = goods::person(number);
            let (username, full_name) = (format!("{first}{last}").to_lowercase(), format!("{first} {last}"));
            let email = goods::email(number);
            let account = self.shop.add_account(&email, &username, &full_name, Role::Customer);
            self.customers.push(account.await?);
        }
        Ok(())
    }

    async fn add_product(&mut self, goods: Goods) -> Result<()> {
        let currency = self.shop.currency();
        let product = json!({
            "sku": goods.sku, "name": goods.name, "barcode": goods.barcode, "category": goods.category,
            "unit_price": amount(goods.price_minor, currency), "unit_cost": amount(goods.cost_minor, currency),
            "reorder_point": goods.reorder_point, "reorder_quantity": goods.reorder_quantity,
        });
        let added = self.shop.post("/products", &product).await?;
        let id = added["id"].as_str().unwrap_or_default().to_owned();
        let (more, is_short) = (self.dice.between(5, 40), self.dice.percent(SHORT_OF));
        let left = goods.reorder_point + if is_short { 0 } else { more };
        self.products.push(OnSale { id, goods, left, is_coming: false, is_short });
        self.receive(self.products.len() - 1, left).await
    }

    /// Lets something happen later.
    fn later(&mut self, wait: RangeInclusive<i64>, event: Event) {
        let moment = Timestamp(self.now.0 + self.dice.between(*wait.start(), *wait.end()) / 1000 * 1000);
        self.thought_of += 1;
        self.events.insert((moment, self.thought_of), event);
    }

    async fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Morning => self.begin_day().await,
            Event::Placed => self.place().await,
            Event::Confirmed { order } => self.confirm(order).await,
            Event::Cancelled { order } => {
                self.step(order, "cancel", json!({"reason": "changed their mind"})).await
            }
            Event::Paid { order } => self.try_step(order, "pay", json!({"method": "card"})).await,
            Event::Shipped { order } => self.ship(order).await,
            Event::Delivered { order } => self.deliver(order).await,
            Event::Returned { order } => {
                self.step(order, "return", json!({"reason": "not as expected"})).await?;
                self.later(HOUR..=2 * DAY, Event::Refunded { order });
                Ok(())
            }
            Event::Refunded { order } => self.try_step(order, "refund", json!({})).await,
            Event::Arrived { product, quantity } => self.receive(product, quantity).await,
        }
    }

    /// Orders come in over the day, more of them before the week's end; something is counted, and at times goods are moved or found broken.
    async fn begin_day(&mut self) -> Result<()> {
        self.later(DAY..=DAY, Event::Morning);
        // The first of January 1970 was a Thursday; 0 is Monday.
        let weekday = (self.now.0 / DAY + 3) % 7;
        let orders = self.dice.between(3, 7) + if weekday > 4 { 4 } else { 0 };
        for _ in 0..orders {
            self.later(MINUTE..=14 * HOUR, Event::Placed);
        }
        for _ in 0..self.dice.between(0, 2) {
            self.count().await?;
        }
        if weekday == 0 {
            for (place, ..) in PLACES {
                for _ in 0..3 {
                    self.transfer(place).await?;
                }
            }
        }
        if self.dice.percent(10) {
            let product = self.dice.below(self.products.len());
            let sku = &self.products[product].goods.sku;
            let broken = json!({"sku": sku, "kind": "quarantine", "quantity": 1, "reason": "damaged"});
            self.shop.try_post("/stock/adjustments", &broken).await?.ok();
        }
        Ok(())
    }

    async fn place(&mut self) -> Result<()> {
        let customer = self.customers[self.dice.mostly_small(self.customers.len())];
        let mut wanted = BTreeMap::new();
        for _ in 0..=self.dice.mostly_small(5) {
            let product = self.dice.mostly_small(self.products.len());
            wanted.insert(product, self.dice.between(1, 3));
        }
        let line = |(product, quantity): (&usize, &i64)| json!({"sku": self.products[*product].goods.sku, "quantity": quantity});
        let lines: Vec<Value> = wanted.iter().map(line).collect();
        let order = json!({"user_id": customer, "lines": lines});
        let Ok(placed) = self.shop.try_post("/orders", &order).await? else { return Ok(()) };
        for (product, quantity) in wanted {
            self.products[product].left -= quantity;
            self.buy_if_low(product);
        }
        self.orders.push(format!("/orders/{}", placed["id"].as_str().unwrap_or_default()));
        let order = self.orders.len() - 1;
        if self.dice.percent(5) {
            self.later(MINUTE..=5 * HOUR, Event::Cancelled { order });
        } else {
            self.later(MINUTE..=6 * HOUR, Event::Confirmed { order });
        }
        Ok(())
    }

    async fn confirm(&mut self, order: usize) -> Result<()> {
        self.step(order, "confirm", json!({})).await?;
        self.later(MINUTE..=12 * HOUR, Event::Shipped { order });
        let pays_at_once = self.dice.percent(70);
        self.later(if pays_at_once { 0..=HOUR } else { 5 * DAY..=20 * DAY }, Event::Paid { order });
        Ok(())
    }

    /// What isn't there, since it was counted away, waits for goods.
    async fn ship(&mut self, order: usize) -> Result<()> {
        let path = format!("{}/ship", self.orders[order]);
        let carrier = json!({"carrier": "Parcel post", "tracking": format!("PP{:010}", 4_100_000_000_u64 + order as u64)});
        match self.shop.try_post(&path, &carrier).await? {
            Ok(_) => self.later(DAY..=4 * DAY, Event::Delivered { order }),
            Err(_) => self.later(DAY..=2 * DAY, Event::Shipped { order }),
        }
        Ok(())
    }

    async fn deliver(&mut self, order: usize) -> Result<()> {
        self.step(order, "deliver", json!({})).await?;
        if self.dice.percent(4) {
            self.later(21 * DAY..=28 * DAY, Event::Returned { order });
        }
        Ok(())
    }

    async fn step(&mut self, order: usize, step: &str, body: Value) -> Result<()> {
        self.shop.post(&format!("{}/{step}", self.orders[order]), &body).await.map(drop)
    }

    /// The same of one that may not be possible any more: what was returned before it was paid for is given no money back.
    async fn try_step(&mut self, order: usize, step: &str, body: Value) -> Result<()> {
        self.shop.try_post(&format!("{}/{step}", self.orders[order]), &body).await.map(drop)
    }

    /// Orders more from the supplier, who takes some days; some deliver nothing lately.
    fn buy_if_low(&mut self, product: usize) {
        let on_sale = &self.products[product];
        let is_short =
            on_sale.is_short && self.now.age(self.today).as_micros() < SHORTAGE.unsigned_abs().into();
        if on_sale.left > on_sale.goods.reorder_point || on_sale.is_coming || is_short {
            return;
        }
        let quantity = on_sale.goods.reorder_quantity;
        self.products[product].is_coming = true;
        self.later(2 * DAY..=9 * DAY, Event::Arrived { product, quantity });
    }

    async fn receive(&mut self, product: usize, quantity: i64) -> Result<()> {
        let currency = self.shop.currency();
        let on_sale = &mut self.products[product];
        if on_sale.is_coming {
            (on_sale.left, on_sale.is_coming) = (on_sale.left + quantity, false);
        }
        let Goods { sku, cost_minor, .. } = &on_sale.goods;
        let received = json!({"sku": sku, "kind": "receive", "quantity": quantity, "unit_cost": amount(*cost_minor, currency)});
        self.shop.post("/stock/adjustments", &received).await.map(drop)
    }

    /// Mostly there is what there should be; at times one less or more.
    async fn count(&mut self) -> Result<()> {
        let product = self.dice.below(self.products.len());
        let difference = [0, 0, 0, -1, -1, 1][self.dice.below(6)];
        let OnSale { id, goods, .. } = &self.products[product];
        let levels = self.shop.get(&format!("/stock?product_id={id}&location_id={MAIN}")).await?;
        let on_hand = levels["items"][0]["on_hand"].as_i64().unwrap_or_default();
        let found = (on_hand + difference).max(0);
        let counted = json!({"sku": goods.sku, "kind": "count", "quantity": found, "reason": "recount"});
        self.shop.post("/stock/adjustments", &counted).await?;
        self.products[product].left += found - on_hand;
        Ok(())
    }

    async fn transfer(&mut self, place: &str) -> Result<()> {
        let product = self.dice.mostly_small(self.products.len());
        let sku = &self.products[product].goods.sku;
        let moved = json!({"sku": sku, "from": "MAIN", "to": place, "quantity": self.dice.between(1, 5)});
        // There may be less than that.
        self.shop.try_post("/stock/transfers", &moved).await?.ok();
        Ok(())
    }
}

/// As a request writes it.
fn amount(minor: i64, currency: Currency) -> Value {
    kit::money::Money::from_minor(minor, currency).map_or(Value::Null, |money| money.to_string().into())
}
