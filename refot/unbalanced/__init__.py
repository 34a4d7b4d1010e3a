"""The equations of unbalanced transport: U-1 to U-9 of docs/equations.md."""
