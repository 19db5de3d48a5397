/// (being written)
pub struct Mt19937;
