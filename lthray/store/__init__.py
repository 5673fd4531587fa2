"""The results folder: tables, tickets, and the masks taken from other folders."""
