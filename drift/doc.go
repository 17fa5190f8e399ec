// Package drift answers whether the vacancies of now differ from those of before: in SQL, for any ClickHouse client, and on what SQL gathers for tests
// that SQL cannot express.
//
// Two windows are compared, the *reference* and the *current* one, each in the time at which vacancies were published and each of whole hours. The views in
// sql/ are the package's interface for analysts; Install puts them into the database. The package promises that a replayed or erased row changes the views'
// answers as it changes those of the tables, whether or not Recompute has counted the touched hours again since, and that no verdict is given on windows that cannot carry one.
package drift
