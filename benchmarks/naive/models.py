from __future__ import annotations

import uuid

from django.db import models


class Tenant(models.Model):
    name = models.CharField(max_length=200)


class ApiKey(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    secret_sha256 = models.CharField(max_length=64, unique=True)
    revoked_at = models.DateTimeField(null=True)


class Metric(models.Model):
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    key = models.CharField(max_length=64)
    price = models.DecimalField(max_digits=20, decimal_places=6)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("tenant", "key"), name="metric_key")]


class Customer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    external_id = models.CharField(max_length=255)
    overage_allowed = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("tenant", "external_id"), name="customer_external_id")]


class Account(models.Model):
    customer = models.OneToOneField(Customer, on_delete=models.PROTECT)
    balance = models.DecimalField(max_digits=20, decimal_places=6)
    updated_at = models.DateTimeField(auto_now=True)


class Block(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    remaining = models.DecimalField(max_digits=20, decimal_places=6)
    priority = models.SmallIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)


class UsageEvent(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT)
    idempotency_key = models.CharField(max_length=255)
    units = models.DecimalField(max_digits=20, decimal_places=6)
    cost = models.DecimalField(max_digits=20, decimal_places=6)
    occurred_at = models.DateTimeField()
    properties = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("tenant", "idempotency_key"), name="event_key")]
        indexes = [models.Index(fields=("customer", "metric", "occurred_at"), name="events_of_a_customer")]


class LedgerEntry(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    block = models.ForeignKey(Block, on_delete=models.PROTECT, null=True)
    event = models.ForeignKey(UsageEvent, on_delete=models.PROTECT, null=True)
    amount = models.DecimalField(max_digits=20, decimal_places=6)
    balance_after = models.DecimalField(max_digits=20, decimal_places=6)
    created_at = models.DateTimeField(auto_now_add=True)
