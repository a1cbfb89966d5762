//! The inventory service (8084): products, categories, locations, stock.
