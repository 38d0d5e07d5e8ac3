"""What Plaid's streams are called and which of their values people query."""

from __future__ import annotations

from leaderjobs.model.stream import Column, ColumnType, CursorKind, Stream

ACCOUNTS = Stream(
    name="accounts",
    key=("account_id",),
    cost="1 request",
    comment="Accounts of the Item as of the last sync; one that is closed or no longer shared is deleted",
    columns=(
        Column("name", ColumnType.TEXT, ("name",)),
        Column("official_name", ColumnType.TEXT, ("official_name",)),
        Column("mask", ColumnType.TEXT, ("mask",), "Last 2 to 4 characters of the account number"),
        Column("type", ColumnType.TEXT, ("type",), "depository, credit, loan, investment, other"),
        Column("subtype", ColumnType.TEXT, ("subtype",)),
        Column(
            "balance_available",
            ColumnType.NUMERIC,
            ("balances", "available"),
            "What can be withdrawn; on a credit account what is left of the limit; as cached by Plaid",
        ),
        Column(
            "balance_current",
            ColumnType.NUMERIC,
            ("balances", "current"),
            "Funds in the account; on a credit account the amount owed, positive; as cached by Plaid",
        ),
        Column(
            "balance_limit",
            ColumnType.NUMERIC,
            ("balances", "limit"),
            "Credit limit, or the overdraft agreed on",
        ),
        Column(
            "currency",
            ColumnType.TEXT,
            ("balances", "iso_currency_code"),
            "ISO 4217; null where Plaid only knows an unofficial code (see doc)",
        ),
    ),
)

TRANSACTIONS = Stream(
    name="transactions",
    key=("transaction_id",),
    cursor=CursorKind.CHANGES,
    cost="1 request for 500 changes, and 1 where nothing has changed",
    comment="Transactions of the Item; removed ones, and pending ones once posted, are deleted",
    columns=(
        Column("account_id", ColumnType.TEXT, ("account_id",), "Key in plaid.accounts", indexed=True),
        Column(
            "amount",
            ColumnType.NUMERIC,
            ("amount",),
            "More than 0: money out (debits); less than 0: money in (deposits, refunds)",
        ),
        Column(
            "iso_currency_code",
            ColumnType.TEXT,
            ("iso_currency_code",),
            "ISO 4217; null where Plaid only knows an unofficial code (see doc)",
        ),
        Column(
            "date",
            ColumnType.DATE,
            ("date",),
            "Day it posted; while pending the day it occurred",
            indexed=True,
        ),
        Column("authorized_date", ColumnType.DATE, ("authorized_date",), "Day the bank authorised it"),
        Column("name", ColumnType.TEXT, ("name",), "As the bank describes it; Plaid calls it legacy"),
        Column("merchant_name", ColumnType.TEXT, ("merchant_name",), "As Plaid reads it"),
        Column("pending", ColumnType.BOOLEAN, ("pending",), "Not settled: amount and name may still change"),
        Column(
            "pending_transaction_id",
            ColumnType.TEXT,
            ("pending_transaction_id",),
            "On a posted transaction: the key of the pending one it took the place of",
        ),
        Column(
            "category",
            ColumnType.TEXT,
            ("personal_finance_category", "primary"),
            "Broad category of Plaid's personal finance taxonomy",
        ),
    ),
)
