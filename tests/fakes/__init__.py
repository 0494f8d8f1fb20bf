"""Small honest stand-ins behind the ports, and faults to put between real parts."""
