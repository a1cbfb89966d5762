-- A product that was taken off sale asks for nothing: its level forgets the reorder point, which the product keeps.
UPDATE stock_levels SET reorder_point = NULL
    WHERE reorder_point IS NOT NULL AND product_id IN (SELECT id FROM products WHERE active = FALSE);
