"""The results folder: tables, tickets, copied masks, and the migration of old folders."""
