"""Messages of Jupyter's protocol, on ZMQ and on websockets; pure."""
