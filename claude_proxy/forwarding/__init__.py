"""From a request to a reply: attempts, and the verdict on each."""
