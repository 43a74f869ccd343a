"""The APIs we call: which, whether, and the call itself."""
