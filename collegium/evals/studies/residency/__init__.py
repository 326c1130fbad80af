"""`collegium eval residency`: which engines to keep loaded if few of them fit."""
