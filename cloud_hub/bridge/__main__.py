"""``python -m cloud_hub.bridge --config FILE``: the same as ``cloud-hub bridge``."""

from cloud_hub.cli import main

if __name__ == "__main__":
    import sys

    main(["bridge", *sys.argv[1:]])
