"""What one can do to a customer here: change it, delete it."""

from __future__ import annotations

from customers.admin.customer_forms import CustomerForm, ReasonForm, customer_attributes, customer_initial
from customers.admin.customer_panels import Act, CustomerAction, action_register
from customers.admin.dialogs import Change, Outcome
from customers.services.customers import customer_delete, customer_update


def _update(act: Act) -> Outcome:
    before = customer_initial(act.customer)
    customer = customer_update(
        caller=act.caller,
        customer_id=act.customer.id,
        attributes=customer_attributes(act.data),
        reason=act.data["reason"],
        now=act.now,
    )
    after = customer_initial(customer)
    changes = [
        Change(
            label=name.removesuffix("_mc").replace("_", " "), before=before.get(name), after=after.get(name)
        )
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    return Outcome(message="Saved.", changes=changes, notes=() if changes else ("Nothing would change.",))


def _delete(act: Act) -> Outcome:
    customer_delete(caller=act.caller, customer_id=act.customer.id, reason=act.data["reason"], now=act.now)
    return Outcome(message=f"{act.customer.label} is deleted.", effect_id=act.customer.id)


action_register(
    CustomerAction(
        slug="edit",
        label="Edit",
        title="Edit customer",
        submit="Save",
        icon="edit",
        order=80,
        permission="customers.change_customer",
        form=CustomerForm,
        perform=_update,
        initial=customer_initial,
    )
)
action_register(
    CustomerAction(
        slug="delete",
        label="Delete",
        title="Delete customer",
        submit="Delete customer",
        icon="delete",
        order=90,
        permission="customers.delete_customer",
        form=ReasonForm,
        perform=_delete,
        has_preview=False,
        is_danger=True,
        intro="Hides the customer from lists. Balance, holds and subscriptions go on, and calls still reach it.",
        offered=lambda customer: customer.deleted_at is None,
    )
)
