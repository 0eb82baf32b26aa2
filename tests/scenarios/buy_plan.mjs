// The purchase of source 001, call by call. What goes wrong on the way is up to FAULT:
//   grant-lost    the request of step 3 never arrives
//   answer-lost   the request of step 3 arrives, its answer does not
//   grant-failed  step 3 is answered with a 503

const { API_BASE, API_KEY, FAULT } = process.env;
const [customerID, planType, orderId] = process.argv.slice(2);

const PLANS = {
  "1hr": { debitUnits: 100000, grantCredits: 50000, durationMs: 3600000, metricKey: "plan_purchase_1hr" },
  "24hr": { debitUnits: 300000, grantCredits: 200000, durationMs: 86400000, metricKey: "plan_purchase_24hr" },
  weekly: { debitUnits: 800000, grantCredits: 600000, durationMs: 604800000, metricKey: "plan_purchase_weekly" },
};

async function send(url, options) {
  if (!url.endsWith("/topup/grant") || !FAULT) return fetch(url, options);
  if (FAULT === "grant-failed") return new Response("", { status: 503 });
  if (FAULT === "answer-lost") await (await fetch(url, options)).json();
  throw new TypeError("fetch failed");
}

async function buyPlan(customerID, planType, orderId) {
  const plan = PLANS[planType];
  if (!plan) return { success: false, reason: "unknown_plan" };

  const balanceRes = await send(`${API_BASE}/customers/${customerID}/credits?include_blocks=true`, {
    headers: { "X-API-Key": API_KEY },
  });
  const balance = await balanceRes.json();
  if (balance.effective_balance < plan.debitUnits) return { success: false, reason: "insufficient_wallet" };

  const debitRes = await send(`${API_BASE}/usage`, {
    method: "POST",
    headers: {
      "X-API-Key": API_KEY,
      "Idempotency-Key": `plan-debit:${planType}:${orderId}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({
      external_customer_id: customerID,
      billable_metric_key: plan.metricKey,
      units: plan.debitUnits,
      metadata: { plan_type: planType, order_id: orderId },
    }),
  });
  if (debitRes.status === 402) return { success: false, reason: "insufficient_wallet", status: 402 };
  if (!debitRes.ok) throw new Error(`Debit failed: ${debitRes.status}`);

  const expiresAt = new Date(Date.now() + plan.durationMs).toISOString();
  const grantRes = await send(`${API_BASE}/topup/grant`, {
    method: "POST",
    headers: {
      "X-API-Key": API_KEY,
      "Idempotency-Key": `plan-grant:${planType}:${orderId}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({
      external_customer_id: customerID,
      credits: plan.grantCredits,
      price_paid: 0,
      currency: "mc",
      expires_at: expiresAt,
      priority: 10,
      metadata: { source: "plan_grant", plan_type: planType, order_id: orderId },
    }),
  });
  if (!grantRes.ok) throw new Error(`Grant failed: ${grantRes.status} — retry with same orderId`);
  return { success: true };
}

try {
  console.log(JSON.stringify(await buyPlan(customerID, planType, orderId)));
} catch (error) {
  console.log(JSON.stringify({ thrown: error.message }));
}
