//! Linear programs whose columns are found while they are solved: the revised simplex method.
//!
//! Only `+ - * /` and comparisons of IEEE doubles, in a fixed order: the same on every machine.

/// Less than this is nothing: what rounding leaves of a zero after some thousand steps, with all
/// numbers near one.
const NOTHING: f64 = 1e-9;

/// Maximise `profit . x` under `columns x <= limits`, `x >= 0`.
#[derive(Debug)]
pub(super) struct Program {
    rows: usize,
    columns: Vec<Column>,
    /// The inverse of the basis, row by row.
    inverse: Vec<f64>,
    /// How much of each basic column is used; which column that is, nobody asks.
    used: Vec<f64>,
    /// What one more of each limit would earn.
    prices: Vec<f64>,
}

/// One way to use the limits.
#[derive(Debug)]
struct Column {
    uses: Vec<(usize, f64)>,
    profit: f64,
}

impl Program {
    /// A program with these limits, none negative, and no columns.
    pub fn new(limits: Vec<f64>) -> Self {
        let rows = limits.len();
        let mut inverse = vec![0.0; rows * rows];
        (0..rows).for_each(|row| inverse[row * rows + row] = 1.0);
        // Leaving some of a limit unused is a column like the others: it earns nothing.
        let columns = (0..rows).map(|row| Column { uses: vec![(row, 1.0)], profit: 0.0 }).collect();
        Self { rows, columns, inverse, used: limits, prices: vec![0.0; rows] }
    }

    /// What one more of each limit would earn, with the columns so far.
    pub fn prices(&self) -> &[f64] {
        &self.prices
    }

    /// Adds a column: how much it uses of which limits, and what it earns.
    pub fn add(&mut self, uses: Vec<(usize, f64)>, profit: f64) {
        self.columns.push(Column { uses, profit });
    }

    /// Finds the best use of all columns so far.
    pub fn solve(&mut self) {
        // Each step earns something unless the program is degenerate; the limit ends a circle.
        for _ in 0..100 * (self.rows + self.columns.len()) {
            let best = (0..self.columns.len()).map(|column| (self.gain(column), column)).fold(
                (NOTHING, None),
                |best, (gain, column)| if gain > best.0 { (gain, Some(column)) } else { best },
            );
            let Some(column) = best.1 else { return };
            if !self.enter(column, best.0) {
                return;
            }
        }
    }

    /// What one unit of a column would earn over the prices of what it uses.
    fn gain(&self, column: usize) -> f64 {
        let Column { uses, profit } = &self.columns[column];
        profit - uses.iter().map(|(row, amount)| self.prices[*row] * amount).sum::<f64>()
    }

    /// Brings a column into the basis; false if nothing limits it.
    fn enter(&mut self, column: usize, gain: f64) -> bool {
        let rows = self.rows;
        let mut direction = vec![0.0; rows];
        for (limit, amount) in &self.columns[column].uses {
            for (row, change) in direction.iter_mut().enumerate() {
                *change += self.inverse[row * rows + limit] * amount;
            }
        }
        let Some((leaving, most)) = self.leaving(&direction) else { return false };
        let pivot: Vec<f64> = self.inverse[leaving * rows..][..rows]
            .iter()
            .map(|entry| entry / direction[leaving])
            .collect();
        for (row, factor) in
            direction.iter().enumerate().filter(|(row, factor)| *row != leaving && **factor != 0.0)
        {
            for (entry, by) in self.inverse[row * rows..][..rows].iter_mut().zip(&pivot) {
                *entry -= factor * by;
            }
            self.used[row] -= factor * most;
        }
        for (price, by) in self.prices.iter_mut().zip(&pivot) {
            *price += gain * by;
        }
        self.inverse[leaving * rows..][..rows].copy_from_slice(&pivot);
        self.used[leaving] = most;
        true
    }

    /// The row that limits a column first, and how much of the column that is; among equals the
    /// one with the largest pivot, for the sake of precision.
    fn leaving(&self, direction: &[f64]) -> Option<(usize, f64)> {
        let mut best: Option<(usize, f64)> = None;
        for (row, change) in direction.iter().enumerate().filter(|(_, change)| **change > NOTHING) {
            let most = self.used[row].max(0.0) / change;
            let better = best.is_none_or(|(other, least)| {
                most < least - NOTHING || (most <= least + NOTHING && *change > direction[other])
            });
            if better {
                best = Some((row, best.map_or(most, |(_, least)| least.min(most))));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_what_one_more_would_earn() {
        // max 3a + 5b: a <= 4, 2b <= 12, 3a + 2b <= 18 (Hillier and Lieberman's example): 36.
        let mut program = Program::new(vec![4.0, 12.0, 18.0]);
        program.add(vec![(0, 1.0), (2, 3.0)], 3.0);
        program.solve();
        assert_eq!(program.prices(), [3.0, 0.0, 0.0]);
        program.add(vec![(1, 2.0), (2, 2.0)], 5.0);
        program.solve();
        let prices: Vec<f64> =
            program.prices().iter().map(|price| (price * 1e6).round() / 1e6).collect();
        assert_eq!(prices, [0.0, 1.5, 1.0]);
        let earned: f64 =
            prices.iter().zip([4.0, 12.0, 18.0]).map(|(price, limit)| price * limit).sum();
        assert_eq!(earned, 36.0);
    }

    #[test]
    fn degenerate_programs_end() {
        let mut program = Program::new(vec![0.0; 6]);
        for column in 0..20usize {
            program.add(vec![(column % 6, 1.0), ((column * 5 + 1) % 6, 0.5)], 1.0 + column as f64);
        }
        program.solve();
        assert!(program.prices().iter().all(|price| price.is_finite()));
    }
}
