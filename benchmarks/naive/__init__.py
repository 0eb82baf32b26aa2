"""The other yardstick: the same calls as a competent team would first write them, with DRF, the ORM and
`select_for_update`, in a database of their own. It has the least it needs to be compared: keys looked up, input
checked by a serializer, an exact debit over ordered blocks, a ledger entry per block, events unique by their key.
"""
