-- Keeps on the account at which balance its customer is to be told of a low one, so that a debit need not look at the
-- customer. Who sets the threshold holds the account's lock already, as everybody who locks both.
CREATE OR REPLACE FUNCTION billing_low_balance_push() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  UPDATE billing_credit_account SET low_balance_at_mc = NEW.low_balance_threshold_mc WHERE customer_id = NEW.id;
  RETURN NULL;
END $$;
