-- What staff placed for somebody and named the price of, its owner doesn't name another of.
UPDATE orders SET is_free_text = FALSE
    WHERE status = 'pending' AND is_free_text = TRUE AND EXISTS (
        SELECT 1 FROM order_history WHERE order_id = orders.id AND action = 'place' AND actor_id <> user_id
    );
