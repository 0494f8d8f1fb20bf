"""What is made of a commit for others to run: the wheel, the image with its bill of materials, and a release of both.

Here belong the version and who follows it, the changelog as releases read it, and the building. What the Dockerfile
itself uses is in `image/`; how the chart and the manifests are written is `k8s/`'s. The product never imports this.
"""
