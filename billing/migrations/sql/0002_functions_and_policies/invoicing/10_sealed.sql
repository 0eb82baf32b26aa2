-- What was issued is never rewritten. These triggers hold for every role; the services keep to them beforehand.

-- From issue on an invoice's amounts, number and parties stand. What is paid and credited, and the status, move on.
CREATE OR REPLACE FUNCTION billing_invoice_guard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'invoices are never deleted' USING ERRCODE = 'restrict_violation';
  END IF;
  IF (NEW.id, NEW.environment_id, NEW.customer_id, NEW.currency, NEW.period_start, NEW.period_end)
      IS DISTINCT FROM (OLD.id, OLD.environment_id, OLD.customer_id, OLD.currency, OLD.period_start, OLD.period_end)
    OR OLD.number IS NOT NULL AND
      (NEW.number, NEW.number_sequence, NEW.issued_at, NEW.subtotal_minor, NEW.tax_rate, NEW.tax_minor,
       NEW.credits_applied_minor, NEW.total_minor, NEW.bill_to, NEW.bill_from)
      IS DISTINCT FROM (OLD.number, OLD.number_sequence, OLD.issued_at, OLD.subtotal_minor, OLD.tax_rate, OLD.tax_minor,
       OLD.credits_applied_minor, OLD.total_minor, OLD.bill_to, OLD.bill_from)
  THEN
    RAISE EXCEPTION 'an issued invoice is never rewritten' USING ERRCODE = 'restrict_violation';
  END IF;
  IF NEW.status <> OLD.status AND NOT (OLD.status, NEW.status) IN (
    ('draft', 'issued'), ('draft', 'paid'), ('draft', 'void'),
    ('issued', 'processing'), ('issued', 'paid'), ('issued', 'void'), ('issued', 'uncollectible'),
    ('processing', 'issued'), ('processing', 'paid'), ('processing', 'uncollectible'),
    ('uncollectible', 'processing'), ('uncollectible', 'paid'), ('uncollectible', 'void')
  ) THEN
    RAISE EXCEPTION 'an invoice does not go from % to %', OLD.status, NEW.status USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

-- A line continues a live one; the lock keeps that one from being voided meanwhile.
CREATE OR REPLACE FUNCTION billing_invoice_line_continues() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM 1 FROM billing_invoice_line WHERE id = NEW.previous_id AND is_live FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'a line continues a live line' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

-- A line dies with its invoice, the last of its series first; nothing else about it ever changes.
CREATE OR REPLACE FUNCTION billing_invoice_line_guard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF TG_OP = 'DELETE' OR NOT (OLD.is_live AND NOT NEW.is_live)
    OR (to_jsonb(NEW) - 'is_live') IS DISTINCT FROM (to_jsonb(OLD) - 'is_live')
  THEN
    RAISE EXCEPTION 'a line of an invoice is never rewritten' USING ERRCODE = 'restrict_violation';
  END IF;
  PERFORM 1 FROM billing_invoice_line WHERE previous_id = NEW.id AND is_live;
  IF FOUND THEN
    RAISE EXCEPTION 'a later invoice continues this line' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

ALTER FUNCTION billing_invoice_guard() OWNER TO purser_kernel;
ALTER FUNCTION billing_invoice_line_continues() OWNER TO purser_kernel;
ALTER FUNCTION billing_invoice_line_guard() OWNER TO purser_kernel;
