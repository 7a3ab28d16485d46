"""What the two HTTP sides share: where HTTP ends and the house begins."""
