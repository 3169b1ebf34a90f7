//! The filter table: which filters may be used with which options, and what each means for cutting.
