"""Let `python -m collegium` do what the `collegium` command does."""

from collegium.cli import main

if __name__ == "__main__":
    main()
