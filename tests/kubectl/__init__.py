"""The real kubectl and other clients of Kubernetes, through `/clusters/NAME` and directly."""
