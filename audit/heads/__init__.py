"""The heads of all tenant lives: what the audit stream commits to, and what proves one of them."""
