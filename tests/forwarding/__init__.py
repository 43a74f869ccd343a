"""The tests of the forwarding room: from a request to a reply, over real sockets."""
