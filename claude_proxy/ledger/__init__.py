"""What is remembered: exchanges, their bodies, what they used and what it cost."""
