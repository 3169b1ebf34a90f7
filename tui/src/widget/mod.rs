//! Pieces that screens are drawn from. All text reaches the screen through [`pen::Pen`], which cleans
//! it and ends with an ellipsis what does not fit. They know no state of the console.

pub mod bar;
pub mod fit;
pub mod hints;
pub mod pen;
pub mod strip;
pub mod table;
pub mod words;
